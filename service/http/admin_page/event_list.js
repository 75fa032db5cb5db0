/** Events, each in words. */

import { el } from './element.js'
import { language, oneOf, t } from './language.js'
import { time } from './time.js'

const BAD = new Set(['login_refused', 'replaced', 'expired', 'kicked', 'banned', 'account_deleted', 'sessions_ended'])

/** `ofUser`: they are all of one user, who need not be named. */
export function eventList(events, { ofUser = false } = {}) {
  if (!events.length) return el('p', { class: 'none', t: 'noEvents' })
  return el('ol', { class: 'events' }, events.map((event) => row(event, ofUser)))
}

function row(event, ofUser) {
  const facts = [
    !ofUser && event.user && fact('user', el('a', { href: `#/users/${encodeURIComponent(event.user)}` }, event.user)),
    fact('app', event.appid), fact('device', event.device), fact('address', event.address),
    fact('handle', event.handle), fact('requestId', event.requestId),
  ]
  return el('li', { class: BAD.has(event.event) ? 'ended' : '' },
    el('div', { class: 'when' }, time(event.at)),
    el('div', { class: 'what' }, el('p', {}, sentence(event)), el('p', { class: 'event-facts' }, facts)))
}

function fact(name, value) {
  return value ? el('span', {}, el('span', { class: 'soft' }, `${t(name)} `), typeof value === 'string' ? el('code', {}, value) : value) : null
}

/** What happened, who did it and why. */
export function sentence({ event, by, reason }) {
  const what = oneOf('eventSentences', event)
  const who = by ? t('eventBy', by) : ''
  return [what, who, reason ? t('eventReason', event === 'banned' ? reason : inWords(reason)) : ''].filter(Boolean).join(language() === 'zh' ? '' : ' ')
}


/** A reason is a word of the service and perhaps a detail; of a ban, what the operator wrote. */
function inWords(reason) {
  const [word, ...detail] = reason.split(':')
  return [oneOf('eventReasons', word), ...detail].join(language() === 'zh' ? '：' : ': ')
}
