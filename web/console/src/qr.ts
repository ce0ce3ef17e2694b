// QR codes of texts (ISO/IEC 18004:2015), in byte mode with error correction L: a secret is shown as one without asking
// anybody else for the picture. Versions 1 to 15 hold up to 520 bytes; an otpauth address has 90 to 250.

const parityOf = [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22]; // codewords for correction in a block, table 9
const blocksOf = [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6];

/** rawModules is how many modules of a version hold data and correction. */
function rawModules(v: number): number {
  let n = (16 * v + 128) * v + 64;
  if (v >= 2) {
    const align = Math.floor(v / 7) + 2;
    n -= (25 * align - 10) * align - 55;
    if (v >= 7) n -= 36;
  }
  return n;
}

/** times multiplies in GF(2^8) modulo x^8+x^4+x^3+x^2+1. */
function times(x: number, y: number): number {
  let z = 0;
  for (let i = 7; i >= 0; i--) {
    z = (z << 1) ^ ((z >>> 7) * 0x11d);
    z ^= ((y >>> i) & 1) * x;
  }
  return z & 255;
}

/** parity is the remainder of data by the generator of a degree. */
function parity(data: number[], degree: number): number[] {
  const generator: number[] = new Array(degree).fill(0);
  generator[degree - 1] = 1;
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) generator[j] = times(generator[j]!, root) ^ (generator[j + 1] ?? 0);
  }
  const rest: number[] = new Array(degree).fill(0);
  for (const b of data) {
    const factor = b ^ rest.shift()!;
    rest.push(0);
    generator.forEach((g, i) => (rest[i]! ^= times(g, factor)));
  }
  return rest;
}

/** codewords are length, text and padding with their correction, in the order in which they are placed. */
function codewords(text: Uint8Array): { version: number; words: number[] } {
  let v = 1;
  const room = () => Math.floor(rawModules(v) / 8) - parityOf[v - 1]! * blocksOf[v - 1]!;
  const wide = () => (v > 9 ? 16 : 8); // bits of the length
  while (text.length * 8 + 4 + wide() > room() * 8) if (++v > parityOf.length) throw new RangeError("too long for a QR code");
  const bits: number[] = [];
  const put = (value: number, n: number) => {
    for (let i = n - 1; i >= 0; i--) bits.push((value >>> i) & 1);
  };
  put(4, 4);
  put(text.length, wide());
  for (const b of text) put(b, 8);
  put(0, Math.min(4, room() * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  for (let pad = 0xec; bits.length < room() * 8; pad ^= 0xec ^ 0x11) put(pad, 8);
  const data = Array.from({ length: room() }, (_, i) => bits.slice(i * 8, i * 8 + 8).reduce((n, b) => n * 2 + b, 0));
  return { version: v, words: interleaved(data, v) };
}

function interleaved(data: number[], v: number): number[] {
  const n = blocksOf[v - 1]!, degree = parityOf[v - 1]!, short = Math.floor(data.length / n), long = data.length % n;
  let from = 0;
  const blocks = Array.from({ length: n }, (_, i) => data.slice(from, from += short + (i >= n - long ? 1 : 0)));
  const ends = blocks.map((b) => parity(b, degree));
  const words: number[] = [];
  for (let i = 0; i <= short; i++) for (const b of blocks) if (i < b.length) words.push(b[i]!);
  for (let i = 0; i < degree; i++) for (const e of ends) words.push(e[i]!);
  return words;
}

type Grid = (boolean | undefined)[][]; // undefined: nothing is there yet

function alignments(v: number, size: number): number[] {
  if (v === 1) return [];
  const n = Math.floor(v / 7) + 2;
  const step = Math.floor((v * 8 + n * 3 + 5) / (n * 4 - 4)) * 2;
  return [6, ...Array.from({ length: n - 1 }, (_, i) => size - 7 - step * (n - 2 - i))];
}

/** patterns draws what every code of a version has. */
function patterns(v: number): Grid {
  const size = v * 4 + 17;
  const g: Grid = Array.from({ length: size }, () => new Array(size).fill(undefined));
  const ring = (x: number, y: number, r: number, dark: (d: number) => boolean) => {
    for (let dy = -r; dy <= r; dy++) for (let dx = -r; dx <= r; dx++) {
      if (g[y + dy] && x + dx >= 0 && x + dx < size) g[y + dy]![x + dx] = dark(Math.max(Math.abs(dx), Math.abs(dy)));
    }
  };
  for (let i = 0; i < size; i++) g[6]![i] = g[i]![6] = i % 2 === 0;
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) ring(x, y, 4, (d) => d !== 2 && d !== 4);
  const at = alignments(v, size), last = at.length - 1;
  at.forEach((x, i) => at.forEach((y, j) => {
    if (!((i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0))) ring(x, y, 2, (d) => d !== 1);
  }));
  return g;
}

/** facts draws the level of correction, the mask and the version, each with a code of its own (BCH). */
function facts(g: Grid, v: number, mask: number): void {
  const size = g.length, level = 1;
  let rest = (level << 3) | mask;
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
  const bits = ((((level << 3) | mask) << 10) | rest) ^ 0x5412, bit = (i: number) => ((bits >>> i) & 1) === 1;
  for (let i = 0; i < 15; i++) {
    const a = i < 6 ? i : i < 8 ? i + 1 : size - 15 + i; // down the 8th column
    const b = i < 8 ? size - 1 - i : i === 8 ? 7 : 14 - i; // along the 8th row
    g[a]![8] = bit(i);
    g[8]![b] = bit(i);
  }
  g[size - 8]![8] = true;
  if (v < 7) return;
  rest = v;
  for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
  const all = (v << 12) | rest;
  for (let i = 0; i < 18; i++) {
    const a = size - 11 + (i % 3), b = Math.floor(i / 3);
    g[b]![a] = g[a]![b] = ((all >>> i) & 1) === 1;
  }
}

/** qr is the modules of a code, true where it is dark. Its mask is the chequered one: readers take any. */
export function qr(text: string): boolean[][] {
  const { version, words } = codewords(new TextEncoder().encode(text));
  const g = patterns(version), size = g.length;
  facts(g, version, 0);
  let i = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (g[y]![x] !== undefined) continue;
        const bit = i < words.length * 8 && ((words[i >>> 3]! >>> (7 - (i & 7))) & 1) === 1;
        g[y]![x] = bit !== ((x + y) % 2 === 0);
        i++;
      }
    }
  }
  return g as boolean[][];
}
