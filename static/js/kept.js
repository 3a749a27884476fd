/*
  What is typed, kept on this device until it is saved (IndexedDB). A record of each tab:
  {key, url, text, at, confirmed}; url is empty for text that has no place on the server yet,
  confirmed: the server has had it (another tab may have replaced it there since).
*/

let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('iterdpo', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept', { keyPath: 'key' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function act(mode, work) {
  try {
    const database = await open();
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction('kept', mode);
      const request = work(transaction.objectStore('kept'));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } catch {
    return null; // Without storage (private windows of some browsers) the server's copy must do.
  }
}

export const keep = (record) => act('readwrite', (store) => store.put(record));
export const drop = (key) => act('readwrite', (store) => store.delete(key));

/** The server has the text that was typed at that time. */
export async function confirm(key, at) {
  const record = await act('readonly', (store) => store.get(key));
  if (record && record.at <= at) await keep({ ...record, confirmed: true });
}

/** All records whose key begins with the prefix. */
export async function keptUnder(prefix) {
  const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
  return (await act('readonly', (store) => store.getAll(range))) ?? [];
}
