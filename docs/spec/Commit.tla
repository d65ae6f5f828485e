------------------------------- MODULE Commit -------------------------------
(* Commit, then apply: how a lane of detect or group moves one partition      *)
(* through crashes, rebalances, zombies and lost replies. Each action names   *)
(* the function of processor/ or the part of Kafka that it stands for; an     *)
(* action is what one request, one reply or one batch on disk does.           *)
(*                                                                            *)
(* The input has N records. Record i adds 1 to the one key there is if i is   *)
(* odd, and deletes it (a tombstone in the changelog) if i is even. What it   *)
(* puts out is the value it found. So a record that is counted twice or never *)
(* shows in the state and in what later records put out.                      *)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    W,         \* lanes, each with a transactional id and a static membership
    N,         \* records of the input partition
    MaxFaults, \* how many faults there may be
    MaxTime,   \* how far the brokers' clock goes
    Shared,    \* the lanes are of one process and have one store
    Upkeep,    \* of "clean", "backup", "purge", "slow": what else goes on
    Broken     \* what is broken on purpose: nothing in the protocol as it is

None == "none"  \* nobody

Retention == 1  \* delete.retention.ms of the changelog, in steps of the clock
Half      == 0  \* half of that, rounded down: how old a store may be when opened

VARIABLES
    log,    \* the changelog partition: see Entry
    gone,   \* what the log cleaner has removed of it: a set of offsets
    tx,     \* the transaction coordinator: one transaction of each lane
    off,    \* the group coordinator: the committed offset, that is records read
    gen,    \*   the generation; it also stands for the member ids in it
    owner,  \*   whose the partition is
    first,  \* the input's first record that has not been purged
    net,    \* requests on their way. A sender that dies does not call them back.
    out,    \* how often a committed transaction has put out for each record
    wrong,  \* whether one of these was not what it should have been
    lane,   \* what each lane has in memory
    disk,   \* what is in each state directory
    copy,   \* an older copy of it
    now,    \* the brokers' clock
    faults  \* faults so far

brokers == <<log, gone, tx, off, gen, owner, first, net, out, wrong>>
vars    == <<brokers, lane, disk, copy, now, faults>>

(* What the records make of the state, and what the state is after i of them. *)
Count(i, value) == IF i % 2 = 1 THEN value + 1 ELSE 0
Ref(i)          == i % 2

-----------------------------------------------------------------------------
(* The changelog. A transaction writes one entry: the key's new value         *)
(* (0: tombstone) and with it the record \x00offset. A marker decides it.     *)
(* ts is when a barrier was written, and for a tombstone when the log cleaner *)
(* first saw it (its delete horizon is delete.retention.ms later).            *)
Never == MaxTime + 1

Txn(value, in, right) == [kind |-> "txn", value |-> value, in |-> in, right |-> right, st |-> "open", ts |-> Never]
Barrier               == [kind |-> "barrier", value |-> 0, in |-> 0, right |-> TRUE, st |-> "ok", ts |-> now]
Entry == [kind: {"txn", "barrier"}, value: 0..N, in: 0..N, right: BOOLEAN, st: {"open", "ok", "aborted"}, ts: 0..Never]

Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Min(S) == CHOOSE x \in S : \A y \in S : x <= y

(* The last stable offset: a read_committed reader gets what is before it.    *)
Lso == Min({i \in 1..Len(log) : log[i].st = "open"} \cup {Len(log) + 1})

OkTxns(l) == {i \in 1..Len(l) : l[i].kind = "txn" /\ l[i].st = "ok"}
LastOk(l) == Max(OkTxns(l) \cup {0})

(* The changelog as it will be when the markers of what is decided are there. *)
Truth == [i \in 1..Len(log) |-> [log[i] EXCEPT !.st =
            IF \E w \in W : tx[w].put = i THEN tx[CHOOSE w \in W : tx[w].put = i].st ELSE @]]

(* state.Fold: the store d after entry i. The \x00offset of the last          *)
(* transaction is never removed, its tombstone is.                            *)
Step(l, d, i) ==
    LET e    == l[i]
        seen == e.kind = "txn" /\ (e.st = "ok" \/ ("readUncommitted" \in Broken /\ e.st = "open"))
    IN [d EXCEPT !.next  = i + 1,
                 !.value = IF seen /\ i \notin gone THEN e.value ELSE @,
                 !.in    = IF seen /\ (i \notin gone \/ i = LastOk(l)) THEN e.in ELSE @]

RECURSIVE Fold(_, _, _)
Fold(l, d, to) == IF d.next > to THEN d ELSE Fold(l, Step(l, d, d.next), to)

(* A store: its position in the changelog and in the input, the key's value,  *)
(* and the time of the last barrier (Position.AsOf; the input's timestamps,   *)
(* which may only make it younger, are all 0).                                *)
Empty == [next |-> 1, in |-> 0, value |-> 0, asof |-> 0]
D(w)  == IF Shared THEN CHOOSE x \in W : TRUE ELSE w

-----------------------------------------------------------------------------
Down == [pc |-> "down", gen |-> 0, ep |-> 0, base |-> 0, bar |-> 0, pos |-> 0, put |-> 0]

Init ==
    /\ log = <<>> /\ gone = {} /\ off = 0 /\ gen = 0 /\ owner = None /\ first = 1 /\ net = {}
    /\ tx = [w \in W |-> [ep |-> 1, st |-> "none", put |-> 0, off |-> 0, res |-> "none"]]
    /\ out = [i \in 1..N |-> 0] /\ wrong = FALSE
    /\ lane = [w \in W |-> Down]
    /\ disk = [w \in W |-> Empty] /\ copy = [w \in W |-> Empty]
    /\ now = 0 /\ faults = 0

Goto(w, pc) == lane' = [lane EXCEPT ![w].pc = pc]
Stop(w)     == lane' = [lane EXCEPT ![w] = Down]
LetGo(w)    == lane' = [lane EXCEPT ![w] = [Down EXCEPT !.pc = "idle", !.ep = lane[w].ep]]
Mine(w)     == owner = w /\ lane[w].gen = gen

-----------------------------------------------------------------------------
(* Sessions and the group *)

(* lane.session: a new client. It joins the group at once; under the same     *)
(* static id it gets its partition back, and the old member id is fenced.     *)
Start(w) ==
    /\ lane[w].pc = "down"
    /\ IF owner \in {None, w}
       THEN /\ owner' = w /\ gen' = gen + 1
            /\ lane' = [lane EXCEPT ![w].pc = "fetch", ![w].gen = gen + 1]
       ELSE Goto(w, "idle") /\ UNCHANGED <<owner, gen>>
    /\ UNCHANGED <<log, gone, tx, off, first, net, out, wrong, disk, copy, now, faults>>

(* lane.session, client.ProducerID: InitProducerId aborts what the last       *)
(* producer of this transactional id left open, and fences it. The group may  *)
(* assign partitions before it has been answered.                             *)
InitProducer(w) ==
    /\ lane[w].pc # "down" /\ lane[w].ep = 0
    /\ \/ /\ tx[w].st = "open"
          /\ tx' = [tx EXCEPT ![w].st = "aborted", ![w].ep = @ + 1, ![w].res = "aborted"]
          /\ UNCHANGED lane
       \/ /\ tx[w].st = "none" \* CONCURRENT_TRANSACTIONS till the markers are written
          /\ tx' = [tx EXCEPT ![w].ep = @ + 1]
          /\ lane' = [lane EXCEPT ![w].ep = tx[w].ep + 1]
    /\ UNCHANGED <<log, gone, off, gen, owner, first, net, out, wrong, disk, copy, now, faults>>

(* The group gives the partition to a lane that waits.                        *)
Assign(w) ==
    /\ lane[w].pc = "idle"
    /\ IF owner = None THEN TRUE ELSE lane[owner].pc = "down" \* its session timed out
    /\ owner' = w /\ gen' = gen + 1
    /\ lane' = [lane EXCEPT ![w].pc = "fetch", ![w].gen = gen + 1]
    /\ UNCHANGED <<log, gone, tx, off, first, net, out, wrong, disk, copy, now, faults>>

(* lane.release: a lane hears, between transactions or in a takeover, that    *)
(* the partition is no longer its own.                                        *)
Release(w) ==
    /\ lane[w].pc \in {"fetch", "barrier", "read", "ready", "quarantine"} /\ ~Mine(w)
    /\ LetGo(w)
    /\ UNCHANGED <<brokers, disk, copy, now, faults>>

-----------------------------------------------------------------------------
(* Taking over *)

(* takeOver is called with the answer of a stable OffsetFetch: there is none  *)
(* while a transaction on the offset is pending.                              *)
FetchOffset(w) ==
    /\ lane[w].pc = "fetch"
    /\ "unstableFetch" \notin Broken => \A x \in W : tx[x].off = 0
    /\ lane' = [lane EXCEPT ![w].pc = "barrier", ![w].base = off]
    /\ UNCHANGED <<brokers, disk, copy, now, faults>>

(* lane.openRange and lane.writeBarriers: a barrier behind everything that    *)
(* any predecessor can have written; a store that may have missed tombstones  *)
(* is emptied.                                                                *)
WriteBarrier(w) ==
    LET d     == disk[D(w)]
        old   == d.next > 1 /\ now - d.asof > Half /\ "oldStore" \notin Broken
        start == IF old THEN Empty ELSE d
    IN /\ lane[w].pc = "barrier"
       /\ log' = Append(log, Barrier)
       /\ disk' = [disk EXCEPT ![D(w)] = start]
       /\ lane' = [lane EXCEPT ![w].pc = "read", ![w].pos = start.next,
                     \* the mutant takes the last stable offset for the end
                     ![w].bar = IF "lso" \in Broken THEN Lso - 1 ELSE Len(log) + 1]
       /\ UNCHANGED <<gone, tx, off, gen, owner, first, net, out, wrong, copy, now, faults>>

(* lane.ready: what the state is current to and what the group has committed  *)
(* must be the same offset; else the partition is in quarantine.              *)
Opened(w, d) ==
    IF (d.in = lane[w].base \/ "unchecked" \in Broken) /\ lane[w].base + 1 >= first THEN "ready" ELSE "quarantine"

(* restoring.apply: a read_committed reader brings the store up to the first  *)
(* barrier that is its own or later. It may be cut short after any batch, and *)
(* then goes on from there. A batch that another lane came before is refused  *)
(* (compare and apply), and the session ends. Before a batch is applied its   *)
(* reader looks at the clock (restoring.tooOld): if it was fetched too long   *)
(* after the time as of which the store is current, tombstones that it should *)
(* have in it may be gone, and the store is restored from the beginning. An   *)
(* empty store is current as of the barrier: what was deleted before is gone  *)
(* together with what it deleted.                                             *)
Read(w) ==
    LET d     == IF disk[D(w)].next = 1 /\ "lso" \notin Broken
                 THEN [disk[D(w)] EXCEPT !.asof = log[lane[w].bar].ts]
                 ELSE disk[D(w)]
        avail == IF "readUncommitted" \in Broken THEN Len(log) ELSE Lso - 1
        ends  == {i \in d.next..avail : i >= lane[w].bar /\ log[i].kind = "barrier" /\ i \notin gone}
        last  == CASE "lso" \in Broken -> lane[w].bar
                   [] ends # {}                            -> Min(ends)
                   [] OTHER                                -> avail
        atEnd == "lso" \in Broken \/ ends # {}
    IN /\ lane[w].pc = "read"
       /\ IF d.next # lane[w].pos
          THEN Stop(w) /\ UNCHANGED disk
          ELSE IF now - d.asof > Half /\ "slowRestore" \notin Broken /\ "oldStore" \notin Broken
          THEN Goto(w, "barrier") /\ disk' = [disk EXCEPT ![D(w)] = Empty]
          ELSE \E to \in (IF atEnd /\ d.next < last THEN {d.next, last} ELSE {last}) :
               LET done == atEnd /\ to = last
                   new  == [Fold(log, d, to) EXCEPT !.asof = IF ~done THEN @ ELSE IF to \in ends THEN log[to].ts ELSE now]
               IN /\ done \/ to >= d.next
                  /\ disk' = [disk EXCEPT ![D(w)] = new]
                  /\ lane' = [lane EXCEPT ![w].pos = new.next, ![w].pc = IF done THEN Opened(w, new) ELSE @]
    /\ UNCHANGED <<brokers, copy, now, faults>>

-----------------------------------------------------------------------------
(* A turn: one transaction with one record *)

(* lane.produce: outputs, the changelog entry and the input offset it is      *)
(* current to, then TxnOffsetCommit. A partition leader asks the coordinator  *)
(* whether the transaction is open, and refuses an old epoch.                 *)
Produce(w) ==
    LET i == lane[w].base + 1
        v == disk[D(w)].value
    IN /\ lane[w].pc = "ready" /\ i <= N /\ i >= first
       /\ lane[w].ep = tx[w].ep /\ tx[w].st = "none"
       /\ log' = Append(log, Txn(Count(i, v), i, v = Ref(i - 1)))
       /\ tx' = [tx EXCEPT ![w].st = "open", ![w].put = Len(log) + 1]
       /\ net' = net \cup {[w |-> w, ep |-> lane[w].ep, what |-> "offset", gen |-> lane[w].gen, in |-> i]}
       /\ disk' = IF "applyFirst" \in Broken THEN [disk EXCEPT ![D(w)].value = Count(i, v)] ELSE disk
       /\ lane' = [lane EXCEPT ![w].pc = "sent", ![w].put = Len(log) + 1]
       /\ UNCHANGED <<gone, off, gen, owner, first, out, wrong, copy, now, faults>>

(* TxnOffsetCommit at the group coordinator. What fences a zombie is the      *)
(* generation (or the member id, after a static rejoin) in it. If it is       *)
(* refused, End aborts. The lane sends EndTxn when it has the answer.         *)
OffsetArrives(m) ==
    LET w  == m.w
        ok == /\ m.ep = tx[w].ep /\ tx[w].st = "open"
              /\ m.gen = gen \/ "noFence" \in Broken
    IN /\ m.what = "offset"
       /\ tx' = IF ok THEN [tx EXCEPT ![w].off = m.in] ELSE tx
       /\ IF lane[w].pc = "sent" /\ lane[w].ep = m.ep
          THEN /\ net' = (net \ {m}) \cup {[m EXCEPT !.what = IF ok THEN "commit" ELSE "abort"]}
               /\ Goto(w, "end")
          ELSE net' = net \ {m} /\ UNCHANGED lane
       /\ UNCHANGED <<log, gone, off, gen, owner, first, out, wrong, disk, copy, now, faults>>

(* EndTxn at the transaction coordinator: from here the transaction is        *)
(* decided, whoever knows. kgo repeats a request whose reply was lost, and    *)
(* gets the answer of the first.                                              *)
EndArrives(m) ==
    LET w  == m.w
        ok == m.ep = tx[w].ep /\ tx[w].st = "open"
        st == IF m.what = "commit" THEN "ok" ELSE "aborted"
        e  == log[tx[w].put]
    IN /\ m.what \in {"commit", "abort"}
       /\ net' = net \ {m}
       /\ tx' = IF ok THEN [tx EXCEPT ![w].st = st, ![w].res = st] ELSE tx
       /\ IF ok /\ st = "ok"
          THEN out' = [out EXCEPT ![e.in] = @ + 1] /\ wrong' = (wrong \/ ~e.right)
          ELSE UNCHANGED <<out, wrong>>
       /\ UNCHANGED <<log, gone, off, gen, owner, first, lane, disk, copy, now, faults>>

(* The markers, later and one by one: in the changelog ...                    *)
MarkLog(w) ==
    /\ tx[w].st \in {"ok", "aborted"} /\ tx[w].put # 0
    /\ log' = [log EXCEPT ![tx[w].put].st = tx[w].st]
    /\ tx' = [tx EXCEPT ![w].put = 0, ![w].st = IF tx[w].off = 0 THEN "none" ELSE @]
    /\ UNCHANGED <<gone, off, gen, owner, first, net, out, wrong, lane, disk, copy, now, faults>>

(* ... and in the group's offsets.                                            *)
MarkOffset(w) ==
    /\ tx[w].st \in {"ok", "aborted"} /\ tx[w].off # 0
    /\ off' = IF tx[w].st = "ok" THEN tx[w].off ELSE off
    /\ tx' = [tx EXCEPT ![w].off = 0, ![w].st = IF tx[w].put = 0 THEN "none" ELSE @]
    /\ UNCHANGED <<log, gone, gen, owner, first, net, out, wrong, lane, disk, copy, now, faults>>

(* lane.session.End has answered: the transaction of its session is decided. *)
Answered(w) ==
    /\ lane[w].pc = "end" /\ lane[w].ep = tx[w].ep /\ tx[w].st # "open"
    /\ \A m \in net : ~(m.w = w /\ m.ep = lane[w].ep)

(* End = (true, nil), lane.apply: one batch, if the store still stands where  *)
(* the batch was computed from (state.Range.Apply). Else another lane of the  *)
(* process has restored this transaction, and the partition is let go of.     *)
Apply(w) ==
    LET n == lane[w].put
    IN /\ Answered(w) /\ tx[w].res = "ok"
       /\ IF disk[D(w)].next = lane[w].pos \/ "noCompare" \in Broken
          THEN /\ disk' = [disk EXCEPT ![D(w)] = [@ EXCEPT !.next = n + 1, !.in = log[n].in, !.value = log[n].value]]
               /\ lane' = [lane EXCEPT ![w].pc = "ready", ![w].base = log[n].in, ![w].pos = n + 1, ![w].put = 0]
          ELSE Stop(w) /\ UNCHANGED disk
       /\ UNCHANGED <<brokers, copy, now, faults>>

(* End = (false, nil), lane.rewind: the offset must be the one from before;   *)
(* asked for in a stable way, so not before the markers are there.            *)
Rewind(w) ==
    /\ Answered(w) /\ tx[w].res = "aborted"
    /\ IF ~Mine(w) THEN LetGo(w)
       ELSE /\ \A x \in W : tx[x].off = 0
            /\ IF off = lane[w].base
               THEN lane' = [lane EXCEPT ![w].pc = "ready", ![w].put = 0]
               ELSE Stop(w)
    /\ UNCHANGED <<brokers, disk, copy, now, faults>>

(* PRODUCER_FENCED, INVALID_PRODUCER_EPOCH: the session ends.                 *)
Fenced(w) ==
    /\ lane[w].pc \in {"ready", "sent", "end"} /\ lane[w].ep \notin {0, tx[w].ep}
    /\ Stop(w)
    /\ UNCHANGED <<brokers, disk, copy, now, faults>>

(* lane.purge: input that this lane has consumed and knows to be committed.   *)
Purge(w) ==
    /\ "purge" \in Upkeep
    /\ IF "purgeRead" \in Broken THEN lane[w].pc = "sent" ELSE lane[w].pc = "ready"
    /\ LET upTo == lane[w].base + (IF "purgeRead" \in Broken THEN 2 ELSE 1)
       IN first < upTo /\ first' = upTo
    /\ UNCHANGED <<log, gone, tx, off, gen, owner, net, out, wrong, lane, disk, copy, now, faults>>

(* The log cleaner: what is superseded goes, and tombstones that it first saw *)
(* longer than delete.retention.ms ago. It stays below the last stable offset.*)
Clean ==
    LET upTo     == Lso - 1
        txns     == {i \in OkTxns(log) : i <= upTo}
        barriers == {i \in 1..upTo : log[i].kind = "barrier"}
        old      == {i \in txns : i < Max(txns)} \cup {i \in barriers : i < Max(barriers)}
        new      == {i \in txns : log[i].value = 0 /\ log[i].ts = Never}
        expired  == {i \in txns \ new : log[i].value = 0 /\ now > log[i].ts + Retention}
    IN /\ "clean" \in Upkeep
       /\ new # {} \/ ~(old \cup expired \subseteq gone)
       /\ log' = [i \in 1..Len(log) |-> IF i \in new THEN [log[i] EXCEPT !.ts = now] ELSE log[i]]
       /\ gone' = gone \cup old \cup expired
       /\ UNCHANGED <<tx, off, gen, owner, first, net, out, wrong, lane, disk, copy, now, faults>>

(* The transaction coordinator ends the transaction of a dead producer.       *)
TimeOut(w) ==
    /\ tx[w].st = "open"
    /\ tx' = [tx EXCEPT ![w].st = "aborted", ![w].ep = @ + 1, ![w].res = "aborted"]
    /\ UNCHANGED <<log, gone, off, gen, owner, first, net, out, wrong, lane, disk, copy, now>>

-----------------------------------------------------------------------------
(* Faults, and what else may happen at any time *)

Fault == faults < MaxFaults /\ faults' = faults + 1

(* kill -9, power loss or a lost disk, and what is in the state directory     *)
(* after the restart: what was there, nothing, or an older copy.              *)
Crash(w) ==
    LET hit == IF Shared THEN W ELSE {w}
    IN /\ lane[w].pc # "down" /\ Fault
       /\ lane' = [x \in W |-> IF x \in hit THEN Down ELSE lane[x]]
       /\ \E d \in {disk[D(w)], Empty, copy[D(w)]} : disk' = [disk EXCEPT ![D(w)] = d]
       /\ UNCHANGED <<brokers, copy, now>>

(* An error from End: the request or its reply is lost. The session ends and  *)
(* nothing in memory is believed. The mutant takes it for an abort and goes   *)
(* on.                                                                        *)
Unknown(w) ==
    /\ lane[w].pc \in {"sent", "end"} /\ Fault
    /\ IF "goOn" \in Broken THEN Goto(w, "ready") ELSE Stop(w)
    /\ UNCHANGED <<brokers, disk, copy, now>>

(* The lane was silent for a session time-out: from now on it is a zombie.    *)
Expel(w) ==
    /\ owner = w /\ lane[w].pc # "down" /\ Fault
    /\ owner' = None /\ gen' = gen + 1
    /\ UNCHANGED <<log, gone, tx, off, first, net, out, wrong, lane, disk, copy, now>>

(* Its transaction may time out while it is alive, too.                       *)
TimeOutAlive(w) == lane[w].pc # "down" /\ TimeOut(w) /\ Fault

(* Someone makes a backup of the state directory.                             *)
Keep(w) ==
    /\ "backup" \in Upkeep /\ copy[w] = Empty /\ disk[w].next > 1
    /\ copy' = [copy EXCEPT ![w] = disk[w]]
    /\ UNCHANGED <<brokers, lane, disk, now, faults>>

(* Time passes: if it is to be slow, also within a restore.                   *)
Tick ==
    /\ now < MaxTime /\ now' = now + 1
    /\ "slow" \notin Upkeep =>
         \A w \in W : lane[w].pc = "read" /\ lane[w].bar # 0 => now + 1 - log[lane[w].bar].ts <= Half
    /\ UNCHANGED <<brokers, lane, disk, copy, faults>>

-----------------------------------------------------------------------------
Progress ==
    \/ \E w \in W : \/ Start(w) \/ InitProducer(w) \/ Assign(w) \/ Release(w) \/ FetchOffset(w) \/ WriteBarrier(w) \/ Read(w)
                    \/ Produce(w) \/ MarkLog(w) \/ MarkOffset(w) \/ Apply(w) \/ Rewind(w) \/ Fenced(w)
                    \/ lane[w].pc = "down" /\ TimeOut(w) /\ UNCHANGED faults
    \/ \E m \in net : OffsetArrives(m) \/ EndArrives(m)

Next ==
    \/ Progress \/ Clean \/ Tick
    \/ \E w \in W : Purge(w) \/ Crash(w) \/ Unknown(w) \/ Expel(w) \/ TimeOutAlive(w) \/ Keep(w)

Spec     == Init /\ [][Next]_vars
LiveSpec == Spec /\ WF_vars(Progress)
Symmetry == Permutations(W)

-----------------------------------------------------------------------------
(* What must hold *)

Decided == Max({off} \cup {tx[w].off : w \in {x \in W : tx[x].st = "ok"}})

TypeOK ==
    /\ \A i \in 1..Len(log) : log[i] \in Entry
    /\ gone \subseteq 1..Len(log) /\ off \in 0..N /\ owner \in W \cup {None} /\ first \in 1..N + 1
    /\ \A w \in W : /\ lane[w].pc \in {"down", "idle", "fetch", "barrier", "read", "ready", "sent", "end", "quarantine"}
                    /\ disk[w].next \in 1..Len(log) + 1
                    /\ tx[w].st \in {"none", "open", "ok", "aborted"} /\ (tx[w].put = 0 => tx[w].st \in {"none", "ok", "aborted"})

(* No record is counted twice or never in what is put out, and what is put    *)
(* out is what a fold over the input puts out.                                *)
OnceInOutput  == \A i \in 1..N : out[i] = IF i <= Decided THEN 1 ELSE 0
RightInOutput == ~wrong

(* Nor in the state: the store of a lane that works is the committed prefix   *)
(* of the changelog up to its position, with each record counted once. (One   *)
(* that was expelled while it took over may have read a changelog in which    *)
(* what comes later has replaced what it needs; it cannot commit.)            *)
StoreIsPrefix ==
    \A w \in W : lane[w].pc \in {"ready", "sent", "end"} /\ disk[D(w)].next = lane[w].pos /\ (Mine(w) \/ gone = {}) =>
        LET d == disk[D(w)]
        IN /\ d.in = Max({0} \cup {log[i].in : i \in {j \in OkTxns(Truth) : j < d.next}})
           /\ d.value = Ref(d.in)

(* Every store, whatever happened to it, is committed state together with     *)
(* what it has not read, as long as it has not missed tombstones.             *)
StoreAndRest ==
    \A w \in W : now - disk[w].asof <= Retention =>
        LET d == Fold(Truth, disk[w], Len(log)) IN d.in = Decided /\ d.value = Ref(d.in)

(* No fault of these needs an operator: what its owner cannot open waits for  *)
(* one. (A lane that was expelled while it took over may find that its offset *)
(* is not the state's any more, until it hears.) Nothing is purged unread.    *)
NoQuarantine == \A w \in W : lane[w].pc = "quarantine" => ~Mine(w)
PurgeIsSafe  == first <= Decided + 1

(* Progress resumes: there is something to do until all is done. (No cycle    *)
(* of Progress exists, since what it does only grows; LiveSpec shows it.)     *)
Done     == off = N /\ \E w \in W : Mine(w) /\ lane[w].pc = "ready" /\ disk[D(w)].in = N
NoStop   == Done \/ ENABLED Progress
Finishes == <>[](off = N /\ \A i \in 1..N : out[i] = 1)
=============================================================================
