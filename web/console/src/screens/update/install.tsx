// A bundle, from a file or an address, into the idle slot of an appliance.
import { useState } from "preact/hooks";
import type { Peer, UpdateSlot } from "../../api";
import { fetchBundle, sendBundle } from "../../sending";
import { who } from "../../session";
import { FormDialog } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Time } from "../../ui/parts";
import { About, BundleAddress, isBundleAddress, Pick, type Chosen } from "./bundle";

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
      locked={!peer || (from === "file" ? !chosen?.bundle || (Boolean(notNewer) && !older) : !isBundleAddress(url))}
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
        <BundleAddress url={url} onURL={setURL} />
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
