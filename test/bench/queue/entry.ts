/** The application that role worker runs in the queue bench: a job that does nothing. */
import { app, job } from "scale";

import { started } from "./started.ts";

const noop = job<{ readonly at: number; readonly text: string }>("noop", ({ at }) => started(at));

export default app({ jobs: [noop] });
