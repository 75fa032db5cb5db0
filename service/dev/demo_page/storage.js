/** What a phone keeps for a mini-program: for each WeChat user apart, as WeChat does. */

const memory = new Map()

/** The tab's own storage, so that another tab has phones of its own; memory where there is none. */
function read(key) {
  try {
    return sessionStorage.getItem(key)
  } catch (_) {
    return memory.get(key) || null
  }
}

function write(key, text) {
  try {
    sessionStorage.setItem(key, text)
  } catch (_) {
    memory.set(key, text)
  }
}

export function storageOf(...names) {
  const place = ['minigate-demo', ...names].map(encodeURIComponent).join('/')
  return {
    get(key) {
      const text = read(`${place}/${key}`)
      return text ? JSON.parse(text) : ''
    },
    set: (key, value) => write(`${place}/${key}`, JSON.stringify(value)),
  }
}
