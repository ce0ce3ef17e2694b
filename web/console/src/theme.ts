// Loaded before the first paint, so that a chosen theme does not flash.
import { applyTheme, chosenTheme } from "./appearance";

applyTheme(chosenTheme());
