// The light and dark switch: the system's wish until somebody chooses.

const KEY = "airreid-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function show(button) {
  const dark = document.documentElement.dataset.theme === "dark";
  button.setAttribute("aria-pressed", String(dark));
}

export function startTheme(button) {
  show(button);
  button.addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Holds until the page is left.
    }
    show(button);
  });
  system.addEventListener("change", () => {
    if (stored()) return;
    document.documentElement.dataset.theme = system.matches ? "dark" : "light";
    show(button);
  });
}
