/** What a browser calls itself, in words for people. A name it may have made up: good enough to know one's own by. */

type Names = readonly (readonly [mark: RegExp, name: string])[];

/** Each claims to be what comes after it in the list. */
const browsers: Names = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(HeadlessChrome|Chrome|CriOS)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const systems: Names = [
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "Mac"],
  [/\bLinux\b/, "Linux"],
];

/** "Firefox on Windows"; of a program the name it gives itself. */
export function nameOf(userAgent: string): string {
  const browser = first(browsers, userAgent);
  const system = first(systems, userAgent);
  if (browser === undefined) return /^[\w.-]+/.exec(userAgent)?.[0] ?? "Something without a name";
  return system === undefined ? browser : `${browser} on ${system}`;
}

function first(names: Names, userAgent: string): string | undefined {
  return names.find(([mark]) => mark.test(userAgent))?.[1];
}
