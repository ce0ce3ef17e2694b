// As much of pcapng (draft-ietf-opsawg-pcapng) as counting takes: blocks of a type and a length. The API writes the byte
// order of the section header as it likes; all blocks follow it.
const section = 0x0a0d0d0a;
const enhancedPacket = 6;

export class Counter {
  packets = 0;
  bytes = 0;
  private rest = new Uint8Array(0);
  private little = true;

  /** add takes what arrived and counts the packets in it. */
  add(part: Uint8Array): void {
    this.bytes += part.length;
    const all = new Uint8Array(this.rest.length + part.length);
    all.set(this.rest);
    all.set(part, this.rest.length);
    const view = new DataView(all.buffer);
    let at = 0;
    while (all.length - at >= 12) {
      if (view.getUint32(at, true) === section) this.little = view.getUint32(at + 8, true) === 0x1a2b3c4d;
      const length = view.getUint32(at + 4, this.little);
      if (length < 12 || at + length > all.length) break;
      if (view.getUint32(at, this.little) === enhancedPacket) this.packets++;
      at += length;
    }
    this.rest = all.slice(at);
  }
}
