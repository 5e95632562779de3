// Each block of code can be reached and scrolled with the keyboard. The theme takes the tabindex away while it measures.
document.addEventListener("DOMContentLoaded", () => {
  const reach = (code) => code.hasAttribute("tabindex") || code.setAttribute("tabindex", "0");
  const again = new MutationObserver((changes) => changes.forEach((change) => reach(change.target)));
  for (const code of document.querySelectorAll("pre > code")) {
    reach(code);
    again.observe(code, { attributeFilter: ["tabindex"] });
  }
});
