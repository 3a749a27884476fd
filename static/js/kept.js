/*
  What is typed, kept on this device until the server has confirmed it (IndexedDB).
  A record: {key, url, text, at}; url is empty for text that has no place on the server yet.
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

/** Drop a record only if it still holds the text typed at that time. */
export async function dropIfTyped(key, at) {
  const record = await act('readonly', (store) => store.get(key));
  if (record && record.at <= at) await drop(key);
}

/** All records whose key begins with the prefix. */
export async function keptUnder(prefix) {
  const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
  return (await act('readonly', (store) => store.getAll(range))) ?? [];
}
