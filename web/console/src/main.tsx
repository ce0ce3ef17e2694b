import { render } from "preact";
import { App } from "./app";
import { Entrance } from "./session";

const root = document.getElementById("app")!;
root.replaceChildren();
render(<Entrance><App /></Entrance>, root);
