// Light and dark: what the system prefers, unless somebody chose.
export type Theme = "system" | "light" | "dark";

const key = "drawbridge.theme";

export function chosenTheme(): Theme {
  try {
    const t = localStorage.getItem(key);
    return t === "light" || t === "dark" ? t : "system";
  } catch {
    return "system"; // storage is forbidden here
  }
}

export function applyTheme(t: Theme): void {
  if (t === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
}

export function chooseTheme(t: Theme): void {
  applyTheme(t);
  try {
    localStorage.setItem(key, t);
  } catch {
    // it lasts until the page is closed
  }
}
