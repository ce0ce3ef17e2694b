// What people do to addresses by hand, and the story of one.
import { useEffect, useState } from "preact/hooks";
import { change, readNamed, said } from "../../api";
import type { Address, Subnet } from "../../api";
import { count, plural } from "../../format";
import { setQuery } from "../../route";
import { Confirm, Dialog } from "../../ui/dialog";
import { FormDialog } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import { rowsOf, type Row } from "./import";

interface After {
  onClose: () => void;
  done: () => Promise<void>;
}

/** Story is why an address is as it is. */
export function Story({ address }: { address: string }) {
  const [why, setWhy] = useState<string[]>();
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let gone = false;
    setWhy(undefined);
    setWrong("");
    readNamed("/ipam/addresses/{address}", { address }).then((w) => gone || setWhy(w.why), (err) => gone || setWrong(said(err)));
    return () => void (gone = true);
  }, [address]);
  if (wrong) return <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>;
  if (!why) return <p class="quiet-text">Asking the node…</p>;
  return <ol class="story">{why.map((w) => <li key={w}>{w}</li>)}</ol>;
}

export function Ask({ onClose }: { onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState("");
  return (
    <Dialog title="Why is an address as it is?" onClose={onClose} wide>
      <form class="ask" onSubmit={(e) => { e.preventDefault(); setAsked(typed.trim()); }}>
        <label class="field"><span>Address</span><input required autocomplete="off" inputMode="decimal" spellcheck={false} placeholder="10.32.0.17" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} /></label>
        <button type="submit" class="primary">Explain</button>
      </form>
      {asked ? <Story address={asked} /> : <p class="quiet-text">Also one that is free: who owns its block and how that came about, who has it, and what can be done about it.</p>}
    </Dialog>
  );
}

const lives: [string, number][] = [["Until it is released", 0], ["1 hour", 3600], ["1 day", 86400], ["30 days", 2592000]];

export function Give({ subnets, done, onClose }: After & { subnets: Subnet[] }) {
  const [subnet, setSubnet] = useState(subnets[0]!.subnet);
  const [owner, setOwner] = useState("");
  const [address, setAddress] = useState("");
  const [life, setLife] = useState(0);
  return (
    <FormDialog
      title="Give an address" verb="Give" onClose={onClose} act={async () => {
        const wanted = address.trim();
        const got = await change("POST /ipam/allocate", { owner: owner.trim(), for_s: life, ...(wanted ? { address: wanted } : { subnet }) });
        toast(`${got.address} belongs to ${got.owner}`);
        await done();
      }}
    >
      <label class="field"><span>Owner</span><input required maxLength={255} autocomplete="off" spellcheck={false} placeholder="printer on floor 2" value={owner} onInput={(e) => setOwner(e.currentTarget.value)} /><span class="hint">Who has one in the subnet already gets the same again.</span></label>
      {subnets.length > 1 && (
        <label class="field"><span>Subnet</span>
          <select value={subnet} disabled={address.trim() !== ""} onChange={(e) => setSubnet(e.currentTarget.value)}>{subnets.map((s) => <option key={s.subnet}>{s.subnet}</option>)}</select>
        </label>
      )}
      <label class="field"><span>This address and no other (claim)</span><input autocomplete="off" spellcheck={false} placeholder="any that is free" value={address} onInput={(e) => setAddress(e.currentTarget.value)} /><span class="hint">For a host that uses it already. Empty: any that is free.</span></label>
      <label class="field"><span>For</span>
        <select value={String(life)} onChange={(e) => setLife(Number(e.currentTarget.value))}>{lives.map(([words, s]) => <option key={s} value={String(s)}>{words}</option>)}</select>
      </label>
    </FormDialog>
  );
}

export function Reserve({ done, onClose }: After) {
  const [address, setAddress] = useState("");
  const [why, setWhy] = useState("");
  return (
    <FormDialog
      title="Reserve an address" verb="Reserve" onClose={onClose} act={async () => {
        const a = address.trim();
        await change("POST /ipam/allocate", { address: a, owner: `reserved ${a}: ${why.trim()}` });
        toast(`${a} is reserved`);
        await done();
      }}
    >
      <p class="quiet-text">Nobody is given it until it is released. Ranges are reserved in the <a href="/config">network configuration</a>.</p>
      <label class="field"><span>Address</span><input required autocomplete="off" spellcheck={false} value={address} onInput={(e) => setAddress(e.currentTarget.value)} /></label>
      <label class="field"><span>Why</span><input required maxLength={200} autocomplete="off" placeholder="the old router, until it is replaced" value={why} onInput={(e) => setWhy(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}

export function Release({ address: a, done, onClose }: After & { address: Address }) {
  return (
    <Confirm
      title={`Release ${a.address}?`} verb="Release" onClose={onClose} act={async () => {
        await change("POST /ipam/release", { address: a.address });
        setQuery({ open: undefined });
        toast(`${a.address} is free`);
        await done();
      }}
    >
      <p>It belongs to <strong>{a.host ?? a.owner}</strong>. Another guest may be given it at once: if its owner goes on using it, both lose connections until one of them asks again.</p>
    </Confirm>
  );
}

/** Import claims what a file lists, one address after the other, and says which could not be had. */
export function Import({ done, onClose }: { done: () => void; onClose: () => void }) {
  const [rows, setRows] = useState<Row[]>();
  const [wrong, setWrong] = useState("");
  const [at, setAt] = useState<number>();
  const [failed, setFailed] = useState<string[]>([]);
  const pick = async (file: File | undefined) => {
    setWrong("");
    setRows(undefined);
    if (!file) return;
    try {
      setRows(rowsOf(await file.text()));
    } catch (err) {
      setWrong(said(err));
    }
  };
  const run = async () => {
    for (const [i, r] of rows!.entries()) {
      setAt(i);
      try {
        await change("POST /ipam/allocate", r);
      } catch (err) {
        setFailed((all) => [...all, `${r.address}: ${said(err)}`]);
      }
    }
    setAt(rows!.length);
    done();
  };
  const over = rows !== undefined && at === rows.length;
  return (
    <Dialog
      title="Import addresses" onClose={onClose} wide
      actions={(
        <>
          <button type="button" onClick={onClose}>{over ? "Close" : "Cancel"}</button>
          {!over && <button type="button" class="primary" disabled={!rows || at !== undefined} onClick={run}>{at !== undefined && <span class="spinner" aria-hidden="true" />} Claim {rows ? plural(rows.length, "address", "addresses") : "addresses"}</button>}
        </>
      )}
    >
      <p class="quiet-text">A file as this screen exports it: CSV with the columns <code>address</code> and <code>owner</code>, or a JSON list of objects with both. Each address is claimed for its owner until it is released. What others have is left to them.</p>
      <label class="field"><span>File, CSV or JSON</span><input type="file" accept=".csv,.json,text/csv,application/json" disabled={at !== undefined} onChange={(e) => void pick(e.currentTarget.files?.[0])} /></label>
      {wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>}
      {rows && at === undefined && <ul class="preview">{rows.slice(0, 5).map((r) => <li key={r.address}><code>{r.address}</code> {r.owner}</li>)}{rows.length > 5 && <li class="quiet-text">and {count(rows.length - 5)} more</li>}</ul>}
      {rows && at !== undefined && (
        <div role="status">
          <progress max={rows.length} value={at} aria-label="Addresses done" />
          <p>{count(at)} of {plural(rows.length, "address", "addresses")} done, {count(failed.length)} refused</p>
        </div>
      )}
      {failed.length > 0 && <ul class="preview">{failed.map((f) => <li key={f}><Icon name="bad" size={16} /> {f}</li>)}</ul>}
    </Dialog>
  );
}
