// Each block of code and each table can be reached and scrolled with the keyboard. The theme takes the tabindex of a block
// away while it measures, and puts the frame around a table when the page is shown.
document.addEventListener("DOMContentLoaded", () => {
  const reach = (code) => code.hasAttribute("tabindex") || code.setAttribute("tabindex", "0");
  const again = new MutationObserver((changes) => changes.forEach((change) => reach(change.target)));
  for (const code of document.querySelectorAll("pre > code")) {
    reach(code);
    again.observe(code, { attributeFilter: ["tabindex"] });
  }
  const frames = () => document.querySelectorAll(".md-typeset__scrollwrap").forEach(reach);
  new MutationObserver(frames).observe(document.body, { childList: true, subtree: true });
  frames();
});
