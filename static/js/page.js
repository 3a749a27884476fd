/* What every page has: the theme, menus that close, times in the reader's own zone. */

import { remember } from './preferences.js';

const root = document.documentElement;

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === 'dark';
  return matchMedia('(prefers-color-scheme: dark)').matches;
}

export function toggleTheme() {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  if (document.querySelector('[data-menu]')) remember({ theme: root.dataset.theme });
  document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
}

addEventListener('click', (event) => {
  if (event.target.closest('[data-theme-toggle]')) toggleTheme();
  const language = event.target.closest('[data-locale]');
  if (language) {
    document.cookie = `locale=${language.dataset.locale}; path=/; max-age=31536000; samesite=lax`;
    location.reload();
  }
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

/** Moments in the reader's own time: today's by the hour, others with their day. */
export function localTimes(root = document) {
  const language = document.documentElement.lang;
  const hour = { hour: '2-digit', minute: '2-digit', hour12: false };
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll('time[datetime]:not([data-local])')) {
    const moment = new Date(element.dateTime);
    const day = moment.toDateString() === today ? {} : { day: 'numeric', month: 'short', year: 'numeric' };
    element.title = element.textContent;
    element.textContent = moment.toLocaleString(language, { ...day, ...hour });
    element.dataset.local = '';
  }
}

localTimes();
addEventListener('htmx:after:swap', () => localTimes());
