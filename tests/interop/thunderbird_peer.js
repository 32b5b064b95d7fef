// What thunderbird_peer.py has Thunderbird do: each function makes the calls that a click in its windows
// makes. Where Thunderbird tells when the server has answered, the function ends then; where it does not
// (flags, folders), the test looks until it sees the result.
//
// Folders are given by the name the server knows them by ("INBOX", "Work/2026"), messages by subject.

/* global Cc, ChromeUtils, Ci, Components, Services */

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

function server() {
  return MailServices.accounts.getIncomingServer("server1"); // the one of user.js
}

function mailWindow() {
  return Services.wm.getMostRecentWindow("mail:3pane");
}

function folders() {
  return server().rootFolder.descendants.map(folder => folder.QueryInterface(Ci.nsIMsgImapMailFolder));
}

function folderNamed(name) {
  const found = folders().find(folder => folder.onlineName == name);
  if (!found) {
    throw new Error(`no folder ${name} among ${folders().map(folder => folder.onlineName)}`);
  }
  return found;
}

function headers(folder) {
  return [...folder.msgDatabase.enumerateMessages()];
}

function headersOf(folder, subjects) {
  const known = new Map();
  for (const header of headers(folder)) {
    const subject = header.mime2DecodedSubject;
    known.set(subject, known.has(subject) ? null : header);
  }
  return [subjects].flat().map(subject => {
    if (!known.get(subject)) {
      throw new Error(`${known.has(subject) ? "more than one" : "no"} message "${subject}" in ${folder.onlineName}`);
    }
    return known.get(subject);
  });
}

// Calls start() with a listener for the end of a URL or of a copy, and waits for it.
function ended(start) {
  return new Promise((resolve, reject) => {
    const end = status =>
      Components.isSuccessCode(status) ? resolve() : reject(new Error(`status 0x${(status >>> 0).toString(16)}`));
    start({
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener"]),
      OnStartRunningUrl() {},
      OnStopRunningUrl: (_url, status) => end(status),
      onStartCopy() {},
      onProgress() {},
      setMessageKey() {},
      getMessageId: () => null,
      onStopCopy: end,
    });
  });
}

function transfer(from, subjects, to, isMove) {
  const source = folderNamed(from);
  return ended(listener =>
    MailServices.copy.copyMessages(
      source,
      headersOf(source, subjects),
      folderNamed(to),
      isMove,
      listener,
      mailWindow().msgWindow,
      true
    )
  );
}

const FLAGS = Ci.nsMsgFolderFlags;
const PURPOSES = ["Inbox", "Drafts", "SentMail", "Trash", "Junk", "Archive"];

const peer = {
  // --- The account.

  // Base64 of a certificate authority's certificate.
  async trust(certificate) {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(certificate, "C,,");
  },

  async remember(password) {
    const origin = `imap://${server().hostname ?? server().hostName}`;
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(origin, null, origin, server().username, password, "", "");
    await Services.logins.addLoginAsync(login);
  },

  // Logs in and learns the folders, as when the account is opened in the folder pane; ends before the folders
  // that are gone have gone. Another search for folders must not be under way: it would drop them all for a
  // moment, with what is known of their messages. So it goes first.
  async expand() {
    await ended(listener =>
      MailServices.imap.discoverAllFolders(server().rootFolder, listener, mailWindow().msgWindow)
    );
    server().performExpand(mailWindow().msgWindow);
  },

  // As the menu does it: what is changed then stays here until Thunderbird is online again.
  async workOffline(offline) {
    const manager = Cc["@mozilla.org/messenger/offline-manager;1"].getService(Ci.nsIMsgOfflineManager);
    if (offline) {
      manager.synchronizeForOffline(false, false, false, true, mailWindow().msgWindow);
    } else {
      manager.goOnline(false, true, mailWindow().msgWindow);
    }
  },

  async isOffline() {
    return Services.io.offline;
  },

  // --- Folders.

  // {name: what it is for}
  async folders() {
    return Object.fromEntries(
      folders().map(folder => [folder.onlineName, PURPOSES.filter(purpose => folder.flags & FLAGS[purpose]).join()])
    );
  },

  // A click on a folder: its messages are synchronised, and the connection idles there.
  async open(name) {
    const folder = folderNamed(name);
    await ended(listener => folder.updateFolderWithListener(mailWindow().msgWindow, listener));
  },

  async createFolder(parent, name) {
    const folder = parent ? folderNamed(parent) : server().rootFolder;
    folder.createSubfolder(name, mailWindow().msgWindow);
  },

  async renameFolder(name, to) {
    folderNamed(name).rename(to, mailWindow().msgWindow);
  },

  async moveFolder(name, to) {
    const folder = folderNamed(name);
    await ended(listener =>
      MailServices.copy.copyFolder(folder, folderNamed(to), true, listener, mailWindow().msgWindow)
    );
  },

  // To the trash. Thunderbird asks, so this ends before; the next call finds the question and says yes.
  async deleteFolder(name) {
    const folder = folderNamed(name);
    mailWindow().setTimeout(() => folder.deleteSelf(mailWindow().msgWindow));
  },

  async expunge(name) {
    const folder = folderNamed(name);
    await ended(listener => folder.compact(listener, mailWindow().msgWindow));
  },

  async emptyTrash(name) {
    const folder = folderNamed(name);
    await ended(listener => folder.emptyTrash(listener));
  },

  // --- Messages.

  async messages(name) {
    return headers(folderNamed(name)).map(header => ({
      uid: header.messageKey,
      subject: header.mime2DecodedSubject,
      author: header.mime2DecodedAuthor,
      read: header.isRead,
      flagged: header.isFlagged,
      answered: Boolean(header.flags & Ci.nsMsgMessageFlags.Replied),
      deleted: Boolean(header.flags & Ci.nsMsgMessageFlags.IMAPDeleted),
      keywords: header.getStringProperty("keywords").split(" ").filter(Boolean).sort(),
      size: header.messageSize,
    }));
  },

  // The message as the server gave it, a character an octet.
  async source(name, subject) {
    const folder = folderNamed(name);
    const uri = folder.getUriForMsg(headersOf(folder, subject)[0]);
    let text = "";
    await new Promise((resolve, reject) =>
      MailServices.messageServiceFromURI(uri).streamMessage(
        uri,
        {
          QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
          onStartRequest() {},
          onDataAvailable(_request, stream, _offset, count) {
            const reader = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
            reader.setInputStream(stream);
            text += reader.readBytes(count);
          },
          onStopRequest: (_request, status) =>
            Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`)),
        },
        null,
        null,
        false,
        "",
        false
      )
    );
    return text;
  },

  async markRead(name, subjects, read) {
    const folder = folderNamed(name);
    folder.markMessagesRead(headersOf(folder, subjects), read);
  },

  async markFlagged(name, subjects, flagged) {
    const folder = folderNamed(name);
    folder.markMessagesFlagged(headersOf(folder, subjects), flagged);
  },

  // As after a reply was sent.
  async markAnswered(name, subject) {
    const folder = folderNamed(name);
    folder.addMessageDispositionState(headersOf(folder, subject)[0], Ci.nsIMsgFolder.nsMsgDispositionState_Replied);
  },

  async tag(name, subjects, keyword, wanted) {
    const folder = folderNamed(name);
    if (wanted) {
      folder.addKeywordsToMessages(headersOf(folder, subjects), keyword);
    } else {
      folder.removeKeywordsFromMessages(headersOf(folder, subjects), keyword);
    }
  },

  async copy(from, subjects, to) {
    await transfer(from, subjects, to, false);
  },

  async move(from, subjects, to) {
    await transfer(from, subjects, to, true);
  },

  // To the trash, or for good.
  async remove(name, subjects, forGood) {
    const folder = folderNamed(name);
    await ended(listener =>
      folder.deleteMessages(headersOf(folder, subjects), mailWindow().msgWindow, forGood, false, listener, true)
    );
  },

  // A file dropped on a folder.
  async append(name, path, read) {
    const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
    file.initWithPath(path);
    await ended(listener =>
      MailServices.copy.copyFileMessage(
        file,
        folderNamed(name),
        null,
        false,
        read ? Ci.nsMsgMessageFlags.Read : 0,
        "",
        listener,
        mailWindow().msgWindow
      )
    );
  },

  // "Search messages ..." with "Run search on server": the subjects found.
  async searchOnServer(name, attribute, text) {
    const folder = folderNamed(name);
    const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
    const term = session.createTerm();
    const value = term.value;
    term.attrib = value.attrib = Ci.nsMsgSearchAttrib[attribute];
    value.str = text;
    term.value = value;
    term.op = Ci.nsMsgSearchOp.Contains;
    term.booleanAnd = true;
    session.appendTerm(term);
    session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder);
    const hits = [];
    await new Promise((resolve, reject) => {
      session.registerListener(
        {
          onNewSearch() {},
          onSearchHit: header => hits.push(header.mime2DecodedSubject),
          onSearchDone: status =>
            Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`)),
        },
        Ci.nsIMsgSearchSession.allNotifications
      );
      session.search(mailWindow().msgWindow);
    });
    return hits.sort();
  },

  // --- Writing.

  // Opens a window to write in: a new message, or the draft of that subject.
  async write(to, subject, body) {
    const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
    params.type = Ci.nsIMsgCompType.New;
    params.format = Ci.nsIMsgCompFormat.PlainText;
    params.identity = MailServices.accounts.defaultAccount.defaultIdentity;
    params.composeFields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    params.composeFields.to = to;
    params.composeFields.subject = subject;
    params.composeFields.body = body;
    const ready = new Promise(resolve => {
      Services.obs.addObserver(function opened(window) {
        window.addEventListener("compose-editor-ready", () => resolve(window), { once: true });
        Services.obs.removeObserver(opened, "domwindowopened");
      }, "domwindowopened");
    });
    MailServices.compose.OpenComposeWindowWithParams(null, params);
    await ready;
  },

  // Ctrl+S in that window, after the body was replaced; where `close`, the window goes.
  async saveDraft(subject, close) {
    const window = Services.wm.getMostRecentWindow("msgcompose");
    window.document.getElementById("msgSubject").value = subject;
    const saved = new Promise(resolve => {
      const listener = {
        QueryInterface: ChromeUtils.generateQI(["nsIMsgComposeStateListener"]),
        NotifyComposeFieldsReady() {},
        NotifyComposeBodyReady() {},
        ComposeProcessDone() {},
        SaveInFolderDone() {
          window.gMsgCompose.UnregisterStateListener(listener);
          resolve();
        },
      };
      window.gMsgCompose.RegisterStateListener(listener);
    });
    window.SaveAsDraft();
    await saved;
    if (close) {
      window.gMsgCompose.bodyModified = false;
      window.close();
    }
  },
};
