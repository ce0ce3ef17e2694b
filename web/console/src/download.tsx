// A file that the node makes when it is asked for it, and hands to the browser.
import { said } from "./api";
import { bytes } from "./format";
import { save } from "./ui/parts";
import { toast } from "./ui/toast";

/** keep puts a file that the node made into the downloads. */
export async function keep(made: Promise<{ file: Blob; name: string }>): Promise<void> {
  const { file, name } = await made;
  save(name, file.type, [file]);
  toast(`${name} (${bytes(file.size)}) is in your downloads`);
}

/** kept is the same where there is no other place to say what went wrong. */
export const kept = (made: Promise<{ file: Blob; name: string }>): Promise<void> => keep(made).catch((err) => toast(said(err), "bad"));
