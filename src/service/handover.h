/* handover.h - connections that go on in another worker: what is written down of one, and how it
 * comes to life from that.
 *
 *   the old worker                                  the new one
 *   crew__handover_movable
 *   crew__handover_pack      on_handover
 *   crew__handover_give_away on_close     ─ bytes, ─▸ crew__handover_take  agree()   on_restore
 *                                        descriptor
 *
 * At every moment one worker has it, as far as programs and peers see. From give_away on the bytes
 * are the connection: whoever takes them, be it the worker that they came from, has it as it was.
 * How they travel is proc/passing.h. */
#ifndef CREW_SERVICE_HANDOVER_H
#define CREW_SERVICE_HANDOVER_H

#include "base/parcel.h"
#include "net/conn_move.h"
#include "service/worker.h"

enum {
	CREW__HANDOVER_SLACK =
		4 << 20, /* bytes of one beside its queue, its input and the program's */
};

/* The connection in that slot of the worker's, if there is one that might move at some time; NULL.
 * At a turn's end. */
crew_conn *crew__handover_at(crew_worker *w, uint32_t slot);
uint32_t crew__handover_slots(const crew_worker *w); /* slots at and above were never used */
uint32_t crew__handover_slots_most(const crew_worker *w);
enum crew__movable crew__handover_movable(crew_conn *c);

/* Write it down; asks the program. 0, and the caller goes on with crew__conn_give_away() at once or
 * keeps it by crew__conn_stays(). -ECANCELED: it stays here, for good; -EAGAIN: it does not move in
 * this turn; -ENOMEM. */
int crew__handover_pack(crew_conn *c, struct crew__parcel *parcel);
/* One stays that was to move. */
void crew__handover_count_kept(crew_worker *w);

/* Take one over. When all is ready, `agree(arg)` is asked, NULL: nobody is; if it says no, it was
 * never here. 0; or an errno: -EMFILE (no room), -ENOTSUP (another service, version or protocol),
 * -EPROTO (no connection is described, or the descriptor is none of a stream), -ENOMEM, -ESHUTDOWN
 * (it leaves itself), -ECANCELED (agree). `fd` is taken over on success alone. `ret_id` is what it
 * is called here. */
int crew__handover_take(crew_worker *w, crew_bytes packed, int fd, bool (*agree)(void *arg),
	void *arg, uint64_t *ret_id);
/* The most that one may be described by. */
size_t crew__handover_most(const crew_worker *w);
/* So many have gone, and so many stayed: an event. */
void crew__handover_note(crew_worker *w, uint64_t gone, uint64_t kept);

#endif
