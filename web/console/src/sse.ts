// Server-sent events (WHATWG HTML §9.2) over fetch. EventSource would do, but it tells neither the status of a refusal nor
// events whose type it was not told before.
import { Refusal, refusalOf } from "./api";

export interface Message {
  id: string;
  type: string;
  data: string;
}

/** parse cuts complete messages off the front of text and returns the rest. */
export function parse(text: string, hear: (m: Message) => void): string {
  for (;;) {
    const end = text.indexOf("\n\n");
    if (end < 0) return text;
    const m: Message = { id: "", type: "message", data: "" };
    const data: string[] = [];
    for (const line of text.slice(0, end).split("\n")) {
      const colon = line.indexOf(":");
      if (colon <= 0) continue; // a comment keeps proxies awake
      const value = line.slice(colon + 1).replace(/^ /, "");
      switch (line.slice(0, colon)) {
        case "id": m.id = value; break;
        case "event": m.type = value; break;
        case "data": data.push(value); break;
      }
    }
    text = text.slice(end + 2);
    if (data.length > 0) hear({ ...m, data: data.join("\n") });
  }
}

/** listen hears one stream until it ends, which is always an error, or until the signal. */
export async function listen(url: string, lastID: string, signal: AbortSignal, hear: (m: Message) => void): Promise<void> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastID) headers["Last-Event-ID"] = lastID;
  const answer = await fetch(url, { headers, signal, cache: "no-store" });
  if (!answer.ok || !answer.body) throw await refusalOf(answer);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Refusal(0, "the stream ended");
    rest = parse(rest + decoder.decode(value, { stream: true }), hear);
  }
}
