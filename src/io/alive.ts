/** Whether a process is there. A process id can be given to another one later: who must be sure compares start times (lock_file.ts). */

/** True for a process of another user too: that it may not be signalled says that it exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}
