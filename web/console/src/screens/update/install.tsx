// A bundle, from a file or an address, into the idle slot of an appliance.
import { useState } from "preact/hooks";
import type { Peer, UpdateSlot } from "../../api";
import { noBundle, readBundle, type Bundle } from "../../bundle";
import { bytes } from "../../format";
import { fetchBundle, sendBundle } from "../../sending";
import { who } from "../../session";
import { FormDialog } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Fact, Facts, State, Time } from "../../ui/parts";

interface Chosen {
  file: File;
  bundle?: Bundle; // none: it is something else
}

/** Install asks for a bundle and where it goes. running is what this node has in its slot, if it is an appliance. */
export function Install({ here, running, peers, onClose }: { here: string; running?: UpdateSlot; peers: Peer[]; onClose: () => void }) {
  const others = peers.filter((p) => p.name !== here && p.state !== "left" && p.state !== "unreachable").map((p) => p.name);
  const places = running ? [here, ...others] : others;
  const [peer, setPeer] = useState(places[0] ?? "");
  const [from, setFrom] = useState<"file" | "url">("file");
  const [chosen, setChosen] = useState<Chosen>();
  const [url, setURL] = useState("");
  const [older, setOlder] = useState(false);
  const [restart, setRestart] = useState(false);
  const notNewer = peer === here && running?.release && chosen?.bundle && chosen.bundle.release <= Date.parse(running.release);
  const order = { peer, older, restart, by: who() };
  return (
    <FormDialog
      title="Install an update" verb={restart ? `Install and restart ${peer}` : "Install"} onClose={onClose}
      locked={!peer || (from === "file" ? !chosen?.bundle || (Boolean(notNewer) && !older) : !/^https:\/\/[^/]+\/./.test(url))}
      act={async () => (from === "file" ? sendBundle(chosen!.file, order) : fetchBundle(url, order))}
    >
      <p class="quiet-text">The bundle goes into the idle slot. Before the first byte is written there, the appliance checks its signature by the key in its own image, and every byte. What runs goes on until the machine starts again.</p>
      <label class="field"><span>Appliance</span>
        <select value={peer} onChange={(e) => setPeer(e.currentTarget.value)}>{places.map((p) => <option key={p}>{p}</option>)}</select>
      </label>
      <fieldset class="fields">
        <legend>Bundle</legend>
        <label class="check"><input type="radio" name="from" checked={from === "file"} onChange={() => setFrom("file")} /><span>A file on this computer</span></label>
        <label class="check"><input type="radio" name="from" checked={from === "url"} onChange={() => setFrom("url")} /><span>An address, from which {peer || "the appliance"} fetches it</span></label>
      </fieldset>
      {from === "file" ? <Pick onPick={setChosen} /> : (
        <label class="field"><span>Address, https only</span><input type="url" required placeholder="https://example.net/drawbridge-virt.bundle" value={url} spellcheck={false} onInput={(e) => setURL(e.currentTarget.value.trim())} /></label>
      )}
      {from === "file" && chosen && <About c={chosen} />}
      {from === "file" && notNewer && <p class="notice"><Icon name="warn" size={18} /> <span>It is not newer than what runs, which is of <Time at={running!.release!} />.</span></p>}
      {(from === "url" || notNewer || peer !== here) && (
        <label class="check"><input type="checkbox" checked={older} onChange={() => setOlder(!older)} /><span>Also a release that is not newer than what runs</span></label>
      )}
      <label class="check">
        <input type="checkbox" checked={restart} onChange={() => setRestart(!restart)} />
        <span>Restart the machine afterwards<small>It hands over its segments first, and forwards nothing for about a minute. If the new system is not healthy within five minutes, twice, the old one starts again.</small></span>
      </label>
    </FormDialog>
  );
}

function Pick({ onPick }: { onPick: (c: Chosen | undefined) => void }) {
  const pick = async (file: File | undefined) => onPick(file && { file, bundle: await readBundle(file) });
  return <label class="field"><span>File, .bundle</span><input type="file" accept=".bundle" onChange={(e) => void pick(e.currentTarget.files?.[0])} /></label>;
}

/** About is what the file says of itself. */
function About({ c: { file, bundle } }: { c: Chosen }) {
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
