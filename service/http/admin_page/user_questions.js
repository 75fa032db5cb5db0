/** What is asked once more before anything is done about a user. */

import { confirm } from './dialog.js'
import { el } from './element.js'
import { oneOf, t } from './language.js'
import { ofLocalInput, stamp, toLocalInput } from './time.js'

const HOUR = 3600
const PRESETS = { hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR, month: 30 * 24 * HOUR, ever: null, date: null }
const LONGEST_REASON = 200

const called = ({ nickname, id }) => t('called', nickname || t('nameless'), id)

export const askKick = (user, session) =>
  confirm({
    title: t(session ? 'kickOneTitle' : 'kickAllTitle'),
    lines: [called(user), session ? t('kickOneText', session.appid, session.device) : t('kickAllText')],
    act: t('kick'),
  })

export const askUnban = (user) => confirm({ title: t('unbanTitle'), lines: [called(user), t('unbanText')], act: t('unban') })

/** Resolves to the body of the request; null for no. */
export async function askBan(user) {
  const reason = el('input', { type: 'text', id: 'ban-reason', maxlength: String(LONGEST_REASON), autocomplete: 'off' })
  const length = el('select', { id: 'ban-length' }, Object.keys(PRESETS).map((name) => el('option', { value: name }, oneOf('banLengths', name))))
  const date = el('input', { type: 'datetime-local', id: 'ban-date', min: toLocalInput(Date.now()) })
  const dateField = el('div', { class: 'field', hidden: true }, el('label', { for: 'ban-date' }, t('banDate')), date)
  const ends = el('p', { class: 'soft', role: 'status' })
  length.value = 'day'

  const until = () => (length.value === 'date' ? ofLocalInput(date.value) / 1000 : PRESETS[length.value] && Math.floor(Date.now() / 1000) + PRESETS[length.value])
  const look = () => {
    dateField.hidden = length.value !== 'date'
    const end = until()
    ends.textContent = end === null ? t('endsNever') : end ? t('endsAt', stamp(end * 1000)) : ''
  }
  for (const field of [length, date]) field.addEventListener('input', look)
  look()
  const fields = [
    el('div', { class: 'field' }, el('label', { for: 'ban-length' }, t('banLength')), length), dateField, ends,
    el('div', { class: 'field' }, el('label', { for: 'ban-reason' }, t('banReasonOptional')), reason),
  ]
  const ready = () => length.value !== 'date' || until() * 1000 > Date.now()
  const yes = await confirm({ title: t('banTitle'), lines: [called(user), t('banText')], fields, ready, act: t('ban') })
  if (!yes) return null
  const given = reason.value.trim()
  const end = until()
  return { ...(given && { reason: given }), ...(end !== null && { until: Math.floor(end) }) }
}

export function askDelete(user) {
  const typed = el('input', { type: 'text', id: 'delete-id', autocomplete: 'off', spellcheck: 'false' })
  const fields = [el('div', { class: 'field' }, el('label', { for: 'delete-id' }, t('typeId', user.id)), typed)]
  return confirm({
    title: t('deleteTitle'), lines: [called(user), t('deleteText')], fields,
    ready: () => typed.value.trim() === user.id, act: t('deleteNow'),
  })
}
