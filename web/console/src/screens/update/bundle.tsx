// A bundle: where it comes from, what its file says of itself, and its way to the node.
import { noBundle, readBundle, type Bundle } from "../../bundle";
import { bytes } from "../../format";
import { Done } from "../../operation";
import { stopSending, type Sending } from "../../sending";
import { Confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icons";
import { Fact, Facts, State, Time } from "../../ui/parts";

/** Chosen is a file that somebody chose. */
export interface Chosen {
  file: File;
  bundle?: Bundle; // none: it is something else
}

/** Pick asks for a file and reads its head. */
export function Pick({ onPick }: { onPick: (c: Chosen | undefined) => void }) {
  const pick = async (file: File | undefined) => onPick(file && { file, bundle: await readBundle(file) });
  return <label class="field"><span>File, .bundle</span><input type="file" accept=".bundle" onChange={(e) => void pick(e.currentTarget.files?.[0])} /></label>;
}

/** isBundleAddress reports whether a peer would fetch from there. */
export const isBundleAddress = (url: string): boolean => /^https:\/\/[^/]+\/./.test(url);

/** BundleAddress asks for one. */
export function BundleAddress({ url, onURL }: { url: string; onURL: (url: string) => void }) {
  return <label class="field"><span>Address, https only</span><input type="url" required placeholder="https://example.net/drawbridge-virt.bundle" value={url} spellcheck={false} onInput={(e) => onURL(e.currentTarget.value.trim())} /></label>;
}

/** About is what the file says of itself. */
export function About({ c: { file, bundle } }: { c: Chosen }) {
  if (!bundle) return <p class="wrong" role="alert"><Icon name="bad" size={18} /> {noBundle}</p>;
  return (
    <div role="status">
      <Facts>
        <Fact name="Version"><span class="mono">{bundle.version}</span></Fact>
        <Fact name="Release of"><Time at={new Date(bundle.release).toISOString()} /></Fact>
        <Fact name="For">{bundle.variant}, {bundle.arch}</Fact>
        <Fact name="Size">{bytes(file.size)}</Fact>
        <Fact name="Signed by key">{bundle.key ? <span class="mono">{bundle.key}</span> : <State tone="bad">nobody: it will be refused</State>}</Fact>
      </Facts>
      <p class="fine">This is what the file says. The appliance finds out whether it is true.</p>
    </div>
  );
}

/** OnItsWay is the upload, or why it came to nothing. */
export function OnItsWay({ s, cancel }: { s: Sending; cancel: () => void }) {
  if (s.refused) {
    return (
      <div class="notice below" role="alert">
        <p><Icon name="bad" size={18} /> <strong>{s.name} {s.rollOut ? "was not rolled out" : "was not installed"}:</strong> {s.refused}</p>
        <div class="card-tools"><button type="button" onClick={stopSending}>Dismiss</button></div>
      </div>
    );
  }
  return (
    <div class="below">
      <Done words={`${s.name} is sent to ${s.peer}`} done={s.done} total={s.total} />
      {s.done === s.total && <p class="fine">All {bytes(s.total)} are sent; the node puts them on its disk.</p>}
      <div class="card-tools"><button type="button" onClick={cancel}>Stop sending…</button></div>
    </div>
  );
}

/** StopSending asks whether that is meant. */
export function StopSending({ onClose }: { onClose: () => void }) {
  return (
    <Confirm title="Stop sending?" verb="Stop" onClose={onClose} act={async () => stopSending()}>
      <p>What has been sent is thrown away. Nothing was written to a slot.</p>
    </Confirm>
  );
}
