// What a file of addresses says.

export interface Row {
  address: string;
  owner: string;
}

const most = 10_000;

/** rowsOf reads CSV (RFC 4180) with a line of titles, or a JSON list of objects, and says what is wrong with it. */
export function rowsOf(text: string): Row[] {
  const raw = /^\s*\[/.test(text) ? JSON.parse(text) as Partial<Row>[] : objects(text.replace(/^\ufeff/, ""));
  const rows = raw.map((r, i) => {
    if (!r || typeof r.address !== "string" || typeof r.owner !== "string" || !r.address || !r.owner) throw new Error(`row ${i + 1} has no address or no owner`);
    return { address: r.address, owner: r.owner.replace(/^'(?=[=+\-@])/, "") }; // the export puts it before what a spreadsheet would calculate
  });
  if (rows.length === 0) throw new Error("the file lists no address");
  if (rows.length > most) throw new Error(`the file lists more than ${most.toLocaleString("en")} addresses: cut it into several`);
  return rows;
}

function objects(text: string): Partial<Row>[] {
  const [titles, ...lines] = cellsOf(text);
  const address = titles?.indexOf("address") ?? -1, owner = titles?.indexOf("owner") ?? -1;
  if (address < 0 || owner < 0) throw new Error("the first line does not name the columns address and owner");
  return lines.map((l) => ({ address: l[address], owner: l[owner] }));
}

function cellsOf(text: string): string[][] {
  const lines: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    lines[lines.length - 1]!.push(quoted !== undefined ? quoted.replace(/""/g, '"') : plain ?? "");
    if (end === "") break;
    if (end !== ",") lines.push([]);
  }
  return lines.filter((l) => l.length > 1 || l[0] !== "");
}
