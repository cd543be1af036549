/** A fast hash of a text for placing it, not for secrets: whoever chooses the text can choose the hash. */

/** 32 bits: FNV-1a over the UTF-16 units, mixed; without that, texts that differ in their last letter lie close. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return mix32(hash);
}

/** Spreads 32 bits over all 32: MurmurHash3's finaliser. */
export function mix32(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
