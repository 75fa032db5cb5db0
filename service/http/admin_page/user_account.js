/** What is known of a user, as an operator reads it. */

import { el } from './element.js'
import { oneOf, t } from './language.js'
import { table, tableOr } from './table.js'
import { duration, stamp, time } from './time.js'

/** Whether they are banned, and until when. */
export function standingOf({ ban }) {
  if (!ban) return el('span', { class: 'state good' }, el('i', { 'aria-hidden': 'true' }, '✓'), t('notBanned'))
  return el('span', { class: 'state bad' }, el('i', { 'aria-hidden': 'true' }, '✕'), ban.until ? t('bannedUntil', stamp(ban.until * 1000)) : t('bannedForGood'))
}

export function account(user) {
  const fact = (name, ...value) => [el('dt', {}, t(name)), el('dd', {}, ...value)]
  return el('dl', { class: 'facts' },
    fact('userId', el('code', {}, user.id)),
    fact('phone', user.phone || '–'),
    fact('state', standingOf(user)),
    user.ban ? fact('bannedAt', time(user.ban.at * 1000)) : [],
    user.ban ? fact('banReason', user.ban.reason || '–') : [],
    fact('createdAt', time(user.createdAt * 1000)),
    fact('updatedAt', time(user.updatedAt * 1000)))
}

/** Their picture: from this service only, whatever the record says. */
export function picture({ avatar }) {
  const ours = typeof avatar === 'string' && /^\/[^/\\]/.test(avatar)
  return ours ? el('img', { class: 'picture', src: avatar, alt: '', width: '64', height: '64' }) : null
}

/** `kick` ends one. */
export function sessions(found, kick) {
  return tableOr('noSessionsOfUser', 'sessionsOfUser', [
    ['app', ({ appid }) => el('code', {}, appid)],
    ['device', ({ device }) => device || null],
    ['issuedAt', ({ issuedAt }) => time(issuedAt)],
    ['expiresIn', ({ expiresIn }) => duration(expiresIn * 1000)],
    ['state', (session) => sessionState(session)],
    ['handle', ({ handle }) => el('code', {}, handle)],
    ['act', (session) => kickButton(session, kick)],
  ], found)
}

function sessionState({ state, keyLost }) {
  const kind = state === 'live' ? 'good' : 'bad'
  const shown = el('span', { class: `state ${kind}` }, el('i', { 'aria-hidden': 'true' }, state === 'live' ? '✓' : '✕'), oneOf('sessionStates', state))
  return keyLost ? el('span', {}, shown, el('span', { class: 'soft' }, ` ${t('keyLost')}`)) : shown
}

function kickButton(session, kick) {
  if (session.state !== 'live') return null
  const label = t('kickOneLabel', session.appid, session.device)
  return el('button', { type: 'button', class: 'plain small', 'aria-label': label, on: { click: () => kick(session) } }, t('kick'))
}

export const identities = (found) => table('identities', [
  ['app', ({ appid }) => el('code', {}, appid)],
  ['openid', ({ openid }) => el('code', {}, openid)],
  ['unionid', ({ unionid }) => (unionid ? el('code', {}, unionid) : null)],
], found)
