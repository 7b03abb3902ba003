// Before anything is drawn: the theme that was chosen, so that no page flashes. Not a module: modules wait.
try {
  const chosen = localStorage.getItem("ganvas-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch (error) { /* storage is off: the system's theme */ }
