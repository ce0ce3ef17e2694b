// What a roll-out is asked for with.
import { useState } from "preact/hooks";
import { change } from "../../api";
import type { Peer } from "../../api";
import { sendRollOut } from "../../sending";
import { who } from "../../session";
import { FormDialog } from "../../ui/form";
import { toast } from "../../ui/toast";
import { About, BundleAddress, isBundleAddress, Pick, type Chosen } from "./bundle";

type From = "restart" | "file" | "url";

const froms: [From, string][] = [
  ["restart", "What is on their disks: the package was upgraded there"], ["file", "A bundle for appliances: a file on this computer"],
  ["url", "A bundle for appliances: an address, from which each fetches it"],
];

/** Start asks which peers, and for which software. here keeps a file for them. */
export function Start({ here, peers, onClose }: { here: string; peers: Peer[]; onClose: () => void }) {
  const [names, setNames] = useState(() => peers.filter((p) => p.roles.includes("gateway")).map((p) => p.name));
  const [from, setFrom] = useState<From>("restart");
  const [chosen, setChosen] = useState<Chosen>();
  const [url, setURL] = useState("");
  const [older, setOlder] = useState(false);
  const [want, setWant] = useState("");
  const toggle = (name: string) => setNames(names.includes(name) ? names.filter((n) => n !== name) : [...names, name]);
  const known = { restart: true, file: Boolean(chosen?.bundle), url: isBundleAddress(url) }[from];
  return (
    <FormDialog
      title="Start a roll-out" verb="Start" locked={names.length === 0 || !known} onClose={onClose}
      act={async () => {
        if (from === "file") return sendRollOut(chosen!.file, here, { peer: names, older, want, by: who() });
        const source = from === "url" ? { source: url, older } : { source: "restart" };
        await change("POST /rollout", { peers: names, ...source, by: who(), ...(want && { want }) });
        toast("The roll-out has begun");
      }}
    >
      <p class="quiet-text">Each of these peers takes the software and starts again. An active gateway hands over first; nobody is touched while another one is not well.</p>
      <fieldset class="fields">
        <legend>Peers</legend>
        {peers.map((p) => (
          <label key={p.id} class="check">
            <input type="checkbox" checked={names.includes(p.name)} onChange={() => toggle(p.name)} />
            <span>{p.name}<small>{p.roles.join(", ")}{p.software && `, runs ${p.software}`}</small></span>
          </label>
        ))}
      </fieldset>
      <fieldset class="fields">
        <legend>Software</legend>
        {froms.map(([value, words]) => (
          <label key={value} class="check"><input type="radio" name="from" checked={from === value} onChange={() => setFrom(value)} /><span>{words}</span></label>
        ))}
      </fieldset>
      {from === "file" && <Pick onPick={setChosen} />}
      {from === "file" && chosen && <About c={chosen} />}
      {from === "file" && <p class="fine">{here} keeps the file until the roll-out is over, and sends it to each peer in its turn.</p>}
      {from === "url" && <BundleAddress url={url} onURL={setURL} />}
      {from !== "restart" && (
        <label class="check"><input type="checkbox" checked={older} onChange={() => setOlder(!older)} /><span>Also a release that is not newer than what a peer runs</span></label>
      )}
      <label class="field"><span>Version that each must run afterwards</span><input value={want} autocomplete="off" spellcheck={false} onInput={(e) => setWant(e.currentTarget.value.trim())} /><span class="hint">Empty: whatever it has then. With another version the roll-out pauses.</span></label>
    </FormDialog>
  );
}
