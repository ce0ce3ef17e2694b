// Numbers for people. Every one has its unit, with a narrow space that does not break.
const space = "\u202f";

/** dot stands between things that are said in one line. It stays with what is before it: no line begins with one. */
export const dot = "\u00a0· ";

const decimals = (n: number): number => (n === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2);

export function withUnit(n: number, unit: string, digits = decimals(Math.abs(n))): string {
  return n.toLocaleString("en", { maximumFractionDigits: digits }) + space + unit;
}

/** scaled chooses among units that are 1000 apart. */
function scaled(n: number, units: string[]): string {
  let i = 0;
  while (Math.abs(n) >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return withUnit(n, units[i]!, i === 0 ? 0 : decimals(n));
}

export const bytes = (n: number): string => scaled(n, ["B", "kB", "MB", "GB", "TB", "PB"]);
export const bitRate = (n: number): string => scaled(n, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
export const count = (n: number): string => n.toLocaleString("en");
export const milliseconds = (n: number): string => (n >= 10000 ? withUnit(n / 1000, "s", 1) : withUnit(n, "ms"));
export const percent = (share: number): string => withUnit(share * 100, "%", share > 0 && share < 0.01 ? 2 : 1);

export function plural(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** duration has at most two units: 40 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [s % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return `0${space}s`;
  return parts.slice(first, first + 2).filter(([n]) => n > 0).map(([n, u]) => n + space + u).join(" ");
}

const two = (n: number): string => String(n).padStart(2, "0");

/** clock is the time of day in the browser's zone, with the date unless it is today's. */
export function clock(t: number, at: number, millis = false): string {
  const d = new Date(t);
  const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` + (millis ? "." + String(d.getMilliseconds()).padStart(3, "0") : "");
  return new Date(at).toDateString() === d.toDateString() ? time : `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${time}`;
}

/** list is "a", "a and b", "a, b and c". */
export function list(words: string[]): string {
  return words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words[words.length - 1];
}

/** natural sorts x2 before x10. */
export const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
