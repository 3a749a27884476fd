/* What every page has: the theme, menus that close, forms that ask before they act. */

const root = document.documentElement;

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === 'dark';
  return matchMedia('(prefers-color-scheme: dark)').matches;
}

export function toggleTheme() {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
}

addEventListener('click', (event) => {
  if (event.target.closest('[data-theme-toggle]')) toggleTheme();
  for (const menu of document.querySelectorAll('[data-menu][open]')) {
    if (!menu.contains(event.target) || event.target.closest('.menu-body a, .menu-body button')) menu.open = false;
  }
});

addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  const menu = document.querySelector('[data-menu][open]');
  if (!menu) return;
  menu.open = false;
  menu.querySelector('summary').focus();
  event.stopImmediatePropagation();
}, true);
