// The head of an update bundle, as far as a browser can read it: what the file says of itself. Whether that is true only
// the appliance knows, by the signature and the key in its image (docs/protocol/update.md).

/** Bundle is what a file says that it is. */
export interface Bundle {
  version: string;
  variant: string;
  arch: string;
  release: number; // ms since 1970
  key: string; // that has signed it, in hexadecimal; "" for none
}

const magic = "DRAWBRIDGE-BUNDLE-1";
const mostHead = 129 * 1024; // bytes: two parts of 64 KiB, and the lines before them

export const noBundle = "This is no update bundle: want the file drawbridge-VARIANT.bundle of a release.";

/** readBundle reads the head of a file; anything else than a bundle has none. */
export async function readBundle(file: Blob): Promise<Bundle | undefined> {
  const head = new Uint8Array(await file.slice(0, mostHead).arrayBuffer());
  const lines = new TextDecoder("latin1").decode(head.subarray(0, 64)).split("\n", 4);
  const [manifest, signature] = [Number(lines[1]), Number(lines[2])];
  if (lines.length < 4 || lines[0] !== magic || !(manifest > 0) || !(signature >= 0)) return undefined;
  const begin = magic.length + lines[1]!.length + lines[2]!.length + 3;
  const text = (from: number, n: number) => new TextDecoder().decode(head.subarray(from, from + n));
  try {
    const m = JSON.parse(text(begin, manifest));
    return { version: String(m.version), variant: String(m.variant), arch: String(m.arch), release: Number(m.release) * 1000, key: signer(text(begin + manifest, signature)) };
  } catch {
    return undefined;
  }
}

/** signer is the number of the key, which minisign puts behind two bytes of the second line, the lowest byte first. */
function signer(signature: string): string {
  try {
    const raw = atob(signature.split("\n")[1] ?? "");
    return [...raw.slice(2, 10)].reverse().map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("").toUpperCase();
  } catch {
    return "";
  }
}
