/* Messages above the segments that the page itself has to give, and the questions that it asks. */
import { $, texts } from './dom.js';

const shown = new Map(); // kind -> element

/** Show a message once per kind; a button: {text, href} or {text, act: () => …}. */
export function message(kind, text, buttons = []) {
  withdraw(kind);
  const box = document.createElement('div');
  box.className = 'notice warn';
  box.setAttribute('role', 'alert');
  const words = document.createElement('p');
  words.textContent = text;
  const actions = document.createElement('span');
  actions.className = 'actions';
  for (const button of [...buttons, { text: texts.dismiss }]) actions.append(made(kind, button));
  box.append(icon(), words, actions);
  shown.set(kind, box);
  $('#messages').append(box);
  return box;
}

/** The warning sign: the sprite's address is taken from an icon that the server has rendered. */
function icon() {
  const copy = $('.saved .ico').cloneNode(true);
  const use = $('use', copy);
  use.setAttribute('href', use.getAttribute('href').replace(/#.*/, '#stale'));
  return copy;
}

function made(kind, { text, href, act }) {
  const element = document.createElement(href ? 'a' : 'button');
  element.className = act || href ? 'btn small' : 'btn small ghost';
  element.textContent = text;
  if (href) {
    element.href = href;
    element.target = '_blank';
    element.rel = 'opener';
  } else {
    element.type = 'button';
    element.addEventListener('click', () => {
      withdraw(kind);
      act?.();
    });
  }
  return element;
}

export function withdraw(...kinds) {
  for (const kind of kinds) {
    shown.get(kind)?.remove();
    shown.delete(kind);
  }
}

/** Servers that fail and networks that drop: the page says so, the text stays where it is. */
export function watchFailures() {
  addEventListener('htmx:response:error', ({ detail }) => {
    const { status } = detail.ctx.response;
    if (status >= 500) message('broken', texts.broken);
  });
  addEventListener('htmx:error', ({ detail }) => {
    // The live comparison may fail quietly: nothing was to be saved.
    if (detail.ctx && !detail.ctx.request.action.endsWith('/diff')) message('lost', texts.lost);
  });
  addEventListener('htmx:after:request', ({ detail }) => {
    if (detail.ctx.response.status < 400) withdraw('broken', 'lost', 'login');
  });
}

/** A question before reviewed text is displaced, or a task finished early. */
function ask(event) {
  const { ctx, issueRequest, dropRequest } = event.detail;
  event.preventDefault();
  if (ctx.request.submitter?.value === 'keep') return issueRequest();
  const dialog = $('#ask');
  const focused = document.activeElement;
  $('#ask-text').textContent = ctx.confirm;
  dialog.returnValue = 'no';
  dialog.addEventListener('close', () => {
    focused?.focus();
    if (dialog.returnValue === 'yes') issueRequest();
    else dropRequest();
  }, { once: true });
  return dialog.showModal();
}

export const watchQuestions = () => addEventListener('htmx:confirm', ask);
