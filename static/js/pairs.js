/*
  Pairs by keyboard: j and k go through a list, and from one pair's page to the next.
  Filters in the address: it follows a form whose answer says how it is called now.
  A choice that explains itself: the hint below it speaks of what is chosen.
*/

const links = [...document.querySelectorAll('a[data-pair]')];

function go(step) {
  const beside = document.querySelector(step > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
  const at = links.indexOf(document.activeElement);
  const next = links[at + step] ?? (at < 0 && step > 0 ? links[0] : undefined);
  if (next) {
    next.focus();
    next.closest('article').scrollIntoView({ block: 'start' });
  } else if (beside) {
    beside.click();
  }
}

addEventListener('keydown', (event) => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.body.dataset.letters === 'off') return;
  if (event.target.closest?.('input:not([type="checkbox"]), select, textarea')) return;
  if (event.key === 'j') go(1);
  else if (event.key === 'k') go(-1);
});

addEventListener('htmx:after:swap', () => {
  const { address } = document.querySelector('[data-address]')?.dataset ?? {};
  if (address) history.replaceState(history.state, '', address);
});

for (const choice of document.querySelectorAll('select[data-tells]')) {
  const tell = () => {
    document.getElementById(choice.dataset.tells).textContent = choice.selectedOptions[0].dataset.about;
  };
  choice.addEventListener('change', tell);
  // What a reload or the way back has kept chosen, not what the server had.
  tell();
}
