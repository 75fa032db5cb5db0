/** How somebody likes the page: language and theme, nothing else, remembered by the browser. */

const KEY = 'minigate-admin/'

/** What was kept under that name, if it is one of `possible`. */
export function kept(name, possible) {
  try {
    const found = localStorage.getItem(KEY + name)
    return possible.includes(found) ? found : null
  } catch (_) {
    return null
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(KEY + name, value)
  } catch (_) {
    // Then the choice lasts as long as the page.
  }
}
