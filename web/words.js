// Words in the page's language, out of locales/*/main.json. Does nothing when the page imports it by itself.

/** @type {Record<string, string>} */
let words = {}
let said

/** The words of the page's language; English ones until they are here. @param {any} app @param {any} api */
export async function loadWords(app, api) {
  said ??= api.fetchApi('/i18n').then((reply) => reply.json()).catch(() => ({}))
  const all = await said
  useWords(all[app.extensionManager?.setting?.get('Comfy.Locale') ?? 'en']?.ipadapter ?? {})
}

/** @param {Record<string, string>} table */
export function useWords(table) {
  words = table
  patterns = undefined
}

/** @param {string} text English, which is also its name among the translations @param {Record<string, any>} [values] */
export function say(text, values = {}) {
  return (words[text] ?? text).replace(MARK, (mark, name) => (name in values ? String(values[name]) : mark))
}

/**
 * A sentence of the server in the page's language, as far as it is known; so are the parts that stand for its marks.
 * @param {string} sentence @returns {string}
 */
export function hear(sentence) {
  if (Object.hasOwn(words, sentence)) return words[sentence]
  if (sentence.includes('\n')) return sentence.split('\n').map(hear).join('\n')
  for (const { text, form } of (patterns ??= patternsOf(words))) {
    const found = form.exec(sentence)
    if (!found) continue
    return say(text, Object.fromEntries(found.slice(1).map((part, place) => [place + 1, hear(part)])))
  }
  const several = sentence.split('; ')
  return several.length > 1 ? several.map(hear).join('; ') : sentence
}

const MARK = /<(\w+)>/g
/** @type {{ text: string, form: RegExp }[] | undefined} */
let patterns

/** The texts with numbered marks, the most specific first. @param {Record<string, string>} words */
function patternsOf(words) {
  const length = (/** @type {string} */ text) => text.replaceAll(MARK, '').length
  const numbered = Object.keys(words).filter((text) => /<1>/.test(text))
  return numbered
    .sort((a, b) => length(b) - length(a))
    .map((text) => ({ text, form: new RegExp(`^${text.split(/<\d+>/).map(plain).join('(.+?)')}$`) }))
}

/** @param {string} text */
function plain(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
