// What runs where, new software for all peers one after the other, and a backup before that.
import { useState } from "preact/hooks";
import { change, changeForFile } from "../api";
import type { Operation, Peer, Rollout, RolloutPeer } from "../api";
import { keep } from "../download";
import { bytes, duration, list, natural, plural } from "../format";
import { useFeed } from "../live";
import { Progress } from "../operation";
import { useSending } from "../sending";
import { may, who, whyNot } from "../session";
import { Confirm, Dialog } from "../ui/dialog";
import { FormDialog, Gated, NewPassword } from "../ui/form";
import { Icon } from "../ui/icons";
import { Age, Card, Command, Fact, Facts, Loading, Page, Problems, State, Time, type Tone } from "../ui/parts";
import { toast } from "../ui/toast";
import { OnItsWay, StopSending } from "./update/bundle";
import { ToDisk } from "./update/disk";
import { Slots } from "./update/slots";
import { Start } from "./update/start";

type Asked = "start" | "cancel" | "resume" | "abort" | "restart" | "backup";

export function Update() {
  const status = useFeed("/status"), peers = useFeed("/peers"), rollouts = useFeed("/rollouts");
  const [asked, ask] = useState<Asked>();
  const [restarting, setRestarting] = useState<Operation>();
  if (!status.data || !peers.data || !rollouts.data) return <Page title="Update"><Loading refused={status.refused ?? peers.refused ?? rollouts.refused} /></Page>;
  const r = rollouts.data[0], close = () => ask(undefined);
  const name = status.data.name;
  return (
    <Page title="Update" lead="New software for the whole network: passive gateways first, a planned switchover before an active one is touched, and nobody while somebody else is not well.">
      <div class="grid">
        <div class="stack">
          <Versions peers={peers.data} />
          <Slots here={name} peers={peers.data} />
          <ToDisk here={name} />
          <Backup name={name} ask={ask} />
          <Card title={`Restart of the daemon of ${name}`}>
            <p class="quiet-text">Ends the daemon in order and starts it with the software and the node file that are on its disk. What it is active for is handed over first.</p>
            <div class="card-tools"><Gated danger why={whyNot("admin")} onClick={() => ask("restart")}>Restart {name}…</Gated></div>
          </Card>
        </div>
        <RollOut r={r} voter={status.data.roles.includes("voter")} peers={peers.data} ask={ask} />
      </div>
      {asked === "start" && <Start here={name} peers={here(peers.data)} onClose={close} />}
      {asked === "cancel" && <StopSending onClose={close} />}
      {asked === "backup" && <Encrypt name={name} onClose={close} />}
      {asked === "resume" && (
        <Confirm
          title="Go on with the roll-out?" verb="Resume" onClose={close}
          act={async () => { await change("POST /rollout/resume", { by: who() }); toast("The roll-out goes on"); }}
        >
          <p>It was paused because: {r?.reason || "this peer started again"}. It pauses again if that is still so.</p>
        </Confirm>
      )}
      {asked === "abort" && (
        <Confirm
          title="End the roll-out?" verb="End it" onClose={close}
          act={async () => { await change("POST /rollout/abort", { by: who() }); toast("The roll-out is over"); }}
        >
          <p>Peers that are updated stay so; what one does just now it brings to its end. The others keep what they run.</p>
        </Confirm>
      )}
      {asked === "restart" && (
        <Confirm title={`Restart ${name}?`} verb="Restart" onClose={close} act={async () => setRestarting(await change("POST /restart", { by: who() }))}>
          <p>{name} hands over what it is active for. For some seconds it forwards nothing, this page says "stale", and then goes on by itself.</p>
        </Confirm>
      )}
      {restarting && <Dialog title={`${name} starts again`} onClose={() => setRestarting(undefined)}><Progress begun={restarting} /></Dialog>}
    </Page>
  );
}

/** newest is the highest version that a peer runs, numbers by their value. */
const newest = (peers: Peer[]): string => peers.map((p) => p.software ?? "").reduce((a, b) => (natural(a, b) >= 0 ? a : b), "");

const here = (peers: Peer[]): Peer[] => peers.filter((p) => p.state !== "left" && p.state !== "unreachable");

function Versions({ peers }: { peers: Peer[] }) {
  const top = newest(peers);
  const behind = here(peers).filter((p) => p.software && p.software !== top);
  return (
    <Card title="What runs where" aside={behind.length === 0 ? <State tone="ok">all the same</State> : <State tone="warn">{plural(behind.length, "peer")} behind</State>}>
      <ul class="steps">
        {peers.map((p) => (
          <li key={p.id}>
            <a href={`/peers?open=${encodeURIComponent(p.name)}`}>{p.name}</a>
            <span class="mono">{p.software || "not told"}</span>
            {p.state === "left" || p.state === "unreachable" ? <State tone="idle">{p.state}</State>
              : !p.software ? <State tone="idle">unknown</State>
                : p.software === top ? <State tone="ok">newest here</State> : <State tone="warn">behind</State>}
          </li>
        ))}
      </ul>
    </Card>
  );
}

const stepWords: Record<RolloutPeer["step"], [Tone, string]> = {
  waiting: ["idle", "waits for its turn"], check: ["self", "is looked at"], move: ["self", "hands over its segments"], update: ["self", "takes the software"],
  return: ["self", "comes back"], verify: ["self", "shows that it is well"], updated: ["ok", "updated"],
};

const states: Record<Rollout["state"], [Tone, string]> = { running: ["self", "running"], paused: ["warn", "paused"], aborted: ["idle", "ended early"], done: ["ok", "done"] };

const over = (r: Rollout): boolean => r.state === "done" || r.state === "aborted";

function RollOut({ r, voter, peers, ask }: { r?: Rollout; voter: boolean; peers: Peer[]; ask: (a: Asked) => void }) {
  const [sending, underWay] = useSending();
  const why = whyNot("admin"), whyNoStart = why ?? (!voter ? "A voter coordinates roll-outs, as it knows of all decisions" : underWay ? "A bundle is on its way" : undefined);
  const done = r?.peers.filter((p) => p.step === "updated").length ?? 0;
  const total = (r?.peers.length ?? 0) + (r?.left_out ?? 0);
  const voters = peers.filter((p) => p.roles.includes("voter")).map((p) => p.name);
  return (
    <Card title="Roll-out" aside={!r ? <State tone="idle">none</State> : r.silent ? <State tone="bad">{r.coordinator} is silent</State> : <State tone={states[r.state][0]}>{states[r.state][1]}</State>}>
      {!r ? <p class="quiet-text">Install the new package on every peer first, without starting it again, or have a bundle for appliances at hand. Then start here, and each peer changes over in its turn.</p> : (
        <>
          <label class="field">
            <span>{done} of {plural(total, "peer")} updated</span>
            <progress max={total} value={done} />
          </label>
          {r.silent && (
            <div class="notice below"><Problems tone="bad" problems={[{
              summary: `${r.coordinator} coordinates it and has told nothing for ${duration((r.age_s ?? 0) * 1000)}. This is how it stood then: ${states[r.state][1]}.`, remedy: r.remedy,
            }]} /></div>
          )}
          {r.reason && <p class="notice below"><Icon name="warn" size={18} /> <span>{r.reason}</span></p>}
          {r.waits && r.state === "running" && <p class="quiet-text" role="status">Waits for: {r.waits}</p>}
          <ul class="steps below">
            {r.peers.map((p) => (
              <li key={p.name}>
                <strong>{p.name}</strong>
                <span class="mono">{p.from && p.to && p.from !== p.to ? `${p.from} → ${p.to}` : p.to || p.from || ""}</span>
                <span><State tone={stepWords[p.step][0]}>{stepWords[p.step][1]}</State>{!over(r) && <> for <Age at={p.since} /></>}</span>
              </li>
            ))}
          </ul>
          {r.left_out && <p class="fine">{plural(r.left_out, "more peer")} on the console of {r.coordinator}.</p>}
          <div class="below">
            <Facts>
              <Fact name="Coordinated by">{r.coordinator}{r.here ? ", this node" : !over(r) && r.age_s !== undefined && !r.silent && <>, told {duration(r.age_s * 1000)} ago</>}</Fact>
              <Fact name="Software"><Software r={r} /></Fact>
              <Fact name="Asked for by">{r.by || "nobody named"}</Fact>
              <Fact name="Began"><Time at={r.started} /></Fact>
              {r.ended && <Fact name="Ended"><Time at={r.ended} /></Fact>}
              {r.want && <Fact name="Must run afterwards"><span class="mono">{r.want}</span></Fact>}
            </Facts>
          </div>
          {r.log.length > 0 && (
            <details class="below quiet-details">
              <summary>What happened, {plural(r.log.length, "line")}</summary>
              <ol class="log">{r.log.map((l, i) => <li key={i}><Time at={l.time} /> <span>{l.peer && <strong>{l.peer} </strong>}{l.text}</span></li>)}</ol>
            </details>
          )}
        </>
      )}
      {sending?.rollOut && <OnItsWay s={sending} cancel={() => ask("cancel")} />}
      <div class="card-tools">
        {r?.state === "paused" && !r.silent && <Gated primary why={why} onClick={() => ask("resume")}><Icon name="play" size={18} /> Resume…</Gated>}
        {r && !over(r) && !r.silent && <Gated danger why={why} onClick={() => ask("abort")}>End it…</Gated>}
        {(!r || over(r) || r.silent) && <Gated primary={!r} why={whyNoStart} onClick={() => ask("start")}><Icon name="play" size={18} /> Start a roll-out…</Gated>}
      </div>
      {!voter && <p class="fine">This peer is no voter and coordinates none. Open the console of {list(voters) || "a voter"} to start one.</p>}
    </Card>
  );
}

/** Software is what the peers of a roll-out take. */
function Software({ r: { bundle, source, older } }: { r: Rollout }) {
  const also = older && ", also where that is not newer than what runs";
  if (bundle) return <>bundle <span class="mono">{bundle.version}</span> of <Time at={bundle.release} />, {bytes(bundle.size)}{also}</>;
  return <>{source === "restart" ? "what is on the disks" : source}{also}</>;
}

function Backup({ name, ask }: { name: string; ask: (a: Asked) => void }) {
  return (
    <Card title={`Backup of peer ${name}`}>
      <p class="quiet-text">One encrypted file with all that makes this peer what it is: identity, keys, node file, users, tokens, addresses, the network's configuration. Take one of each peer before an update, and keep them apart from the peers.</p>
      <div class="card-tools"><Gated why={whyNot("admin")} onClick={() => ask("backup")}><Icon name="download" size={18} /> Download a backup…</Gated></div>
      <details class="below quiet-details">
        <summary>Bring one back</summary>
        <p class="quiet-text">On the host that shall be {name}, while {name} runs nowhere else. What is there is kept beside it.</p>
        <Command>systemctl stop drawbridge</Command>
        <Command>drawbridge backup restore FILE --yes</Command>
        <Command>systemctl start drawbridge</Command>
        <p class="quiet-text">An appliance that has not been set up takes the file on its set-up page, at the address of its console.</p>
        <p class="fine">With --found when all voters are lost, and this one founds their group anew. Without this program: age -d FILE | tar x.</p>
      </details>
    </Card>
  );
}

function Encrypt({ name, onClose }: { name: string; onClose: () => void }) {
  const [passphrase, setPassphrase] = useState("");
  return (
    <FormDialog title={`Backup of peer ${name}`} verb="Make and download it" locked={!passphrase || !may("admin")} onClose={onClose} act={() => keep(changeForFile("POST /backup", { passphrase }))}>
      <p class="quiet-text">The file holds private keys. Without the passphrase nobody can open it, you neither. It takes a few seconds.</p>
      <NewPassword label="Passphrase" onPassword={setPassphrase} />
    </FormDialog>
  );
}
