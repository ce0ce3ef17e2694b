// The page by which a machine that is nobody yet is set up. It keeps the one-time code in memory, and nothing else.
const $ = (q, within = document) => within.querySelector(q);
let code = "";

/** ask sends something to the machine; what it refuses is thrown with its own words. */
async function ask(what, body, headers = {}) {
  let r;
  try {
    r = await fetch(`/setup/${what}`, { method: "POST", body, headers: { "Drawbridge-Code": code, ...headers }, cache: "no-store", redirect: "error" });
  } catch {
    throw new Error("The machine does not answer: is it on, and is it reached?");
  }
  if (!r.ok) throw new Error(await reason(r));
  return r;
}

async function reason(r) {
  try {
    return (await r.json()).detail || r.statusText;
  } catch {
    return r.statusText || `status ${r.status}`;
  }
}

const send = async (what, fields = {}) => (await ask(what, JSON.stringify(fields), { "Content-Type": "application/json" })).json();

/** busy shows that, and how far, something is under way. total 0: nobody knows. */
function busy(form, words, done = 0, total = 0) {
  const box = $(".busy", form);
  if (!box) return;
  box.hidden = !words;
  $("p", box).textContent = words;
  const bar = $("progress", box);
  if (total > 0) {
    bar.max = total;
    bar.value = done;
  } else bar.removeAttribute("value");
}

/** on does what a form is for, once at a time, and says what was wrong. */
function on(id, act) {
  const form = $(`#${id}`);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const wrong = $(".wrong", form), buttons = form.querySelectorAll("button");
    wrong.hidden = true;
    buttons.forEach((b) => (b.disabled = true));
    try {
      await act(form, Object.fromEntries(new FormData(form)));
    } catch (err) {
      wrong.textContent = err.message;
      wrong.hidden = false;
    } finally {
      busy(form, "");
      buttons.forEach((b) => (b.disabled = false));
    }
  });
}

on("enter", async (form, { code: typed }) => {
  code = typed.trim().replace(/[^ -~]+/g, " ");
  await send("look");
  form.hidden = true;
  $("#ways").hidden = false;
  $("#way-restore summary").focus();
});

/** upload is by XMLHttpRequest, which alone tells how far it is. */
function upload(form, body) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    x.open("POST", "/setup/open");
    x.setRequestHeader("Drawbridge-Code", code);
    x.responseType = "json";
    x.upload.onprogress = (e) => busy(form, "The backup is sent", e.loaded, e.lengthComputable ? e.total : 0);
    x.upload.onload = () => busy(form, "The backup is read to its last byte. That takes some seconds");
    x.onload = () => (x.status === 200 ? resolve(x.response) : reject(new Error(x.response?.detail || `status ${x.status}`)));
    x.onerror = () => reject(new Error("The file did not arrive: is the machine on, and is it reached?"));
    x.send(body);
  });
}

on("open", async (form, { backup, passphrase }) => {
  const body = new FormData();
  body.set("passphrase", passphrase);
  body.set("backup", backup);
  $("#restore").hidden = true;
  const what = await upload(form, body);
  show(what);
  form.hidden = true;
  $("#restore").hidden = false;
  $("#restore input[name=peer]").focus();
});

let opened;

function show(what) {
  opened = what;
  const facts = { Peer: what.peer, Network: what.network, Made: new Date(what.created).toLocaleString(), Release: what.software, Files: what.files };
  $("#restore dl").replaceChildren(...Object.entries(facts).flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  $("#restore .peer").textContent = what.peer;
}

function element(kind, text) {
  const e = document.createElement(kind);
  e.textContent = text;
  return e;
}

on("restore", async (form, { peer, found }) => {
  if (peer !== opened.peer) throw new Error(`Nothing was restored: confirm it by the name ${opened.peer}`);
  busy(form, "Restoring. Leave the machine on");
  await send("restore", { peer, found: found === "on" });
  end(`This machine is ${opened.peer} now`, `Its gateway starts, and in about half a minute its console is at this address, for the users of the backup. It shows the certificate of ${opened.peer}, so your browser may ask again: the fingerprint is on the machine's screen. Where interfaces have other names than those of the old machine, correct the node file.`);
});

on("found", async (form, { network, name }) => {
  busy(form, "The network is founded");
  await send("found", { network, name });
  end(`This machine is ${name}, the first peer of ${network}`, started);
});

on("join", async (form, { token, name }) => {
  busy(form, "A voter of the network is asked");
  await send("join", { token: token.trim(), name });
  end(`This machine is ${name} now`, started);
});

const started = "Its gateway starts, and in about half a minute its console is at this address. It has a certificate of its own, so your browser asks again; the machine's screen shows its fingerprint, and the one-time code for the first user.";

function end(title, text) {
  $("#ways").hidden = true;
  $(".lead").hidden = true;
  const box = $("#end");
  $("h2", box).textContent = title;
  $("p", box).textContent = text;
  $("button", box).hidden = false;
  box.hidden = false;
  code = "";
}

$("#end button").addEventListener("click", () => location.assign("/"));

/** dot stands between things that are said in one line. It stays with what is before it: no line begins with one. */
const dot = "\u00a0· ";

const size = (n) => (n >= 1e12 ? `${(n / 1e12).toFixed(1)} TB` : n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.round(n / 1e6)} MB`);

$("#way-install").addEventListener("toggle", async (e) => {
  if (!e.target.open) return;
  const form = $("#install"), wrong = $(".wrong", form);
  wrong.hidden = true;
  try {
    list(form, await send("disks"));
  } catch (err) {
    wrong.textContent = err.message;
    wrong.hidden = false;
  }
});

function list(form, disks) {
  $(".chosen", form).hidden = true;
  $(".disks", form).replaceChildren(...disks.map((d) => {
    const label = element("label", ""), radio = document.createElement("input"), text = element("span", [d.name, size(d.size), d.model || "no model"].join(dot));
    label.className = "check";
    Object.assign(radio, { type: "radio", name: "disk", value: d.name, disabled: Boolean(d.refused), required: true });
    radio.addEventListener("change", () => choose(form, d));
    text.append(element("small", `On it: ${d.holds}${d.refused ? `. Not this one: it ${d.refused}` : ""}`));
    label.append(radio, text);
    return label;
  }));
  if (disks.every((d) => d.refused)) $(".disks", form).append(element("p", "There is no disk that this system could be written to: add one, and open this again."));
}

function choose(form, d) {
  form.querySelectorAll(".disk").forEach((e) => (e.textContent = d.name));
  $(".holds", form).textContent = d.holds;
  $(".chosen", form).hidden = false;
  $("input[name=confirm]", form).value = "";
}

on("install", async (form, { disk, confirm }) => {
  if (disk !== confirm) throw new Error(`Nothing was written: confirm it by the name ${disk}`);
  busy(form, `This system is written to ${disk}. Leave the machine on`);
  const r = await ask("install", JSON.stringify({ disk, confirm }), { "Content-Type": "application/json" });
  for await (const line of lines(r.body)) {
    if (line.error) throw new Error(line.error);
    if (!line.end) busy(form, `This system is written to ${disk}: ${size(line.done)} of ${size(line.total)}. Leave the machine on`, line.done, line.total);
    else return written(form, disk);
  }
  throw new Error("The machine stopped answering before the disk was written: look at its screen, and begin again.");
});

function written(form, disk) {
  form.hidden = true;
  $("#reboot .disk").textContent = disk;
  $("#reboot").hidden = false;
}

async function* lines(body) {
  const text = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await text.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const p of parts) if (p) yield JSON.parse(p);
  }
}

on("reboot", async () => {
  await send("reboot");
  end("The machine starts again", "In about a minute this page is there again, with another certificate and another one-time code.");
  $("#end button").hidden = true;
});
