/* tls_limits.c - what handshakes may cost that others have begun: how many are under way at once,
 * and how many steps of them a turn takes. */
#include "net/tls_parts.h"

#include "net/conn_out.h"

enum {
	SHAKES_A_TURN = 16, /* steps of clients' handshakes: each may cost a signature */
};

/* A handshake that does not go on costs tens of kilobytes, and nothing to who began it. So there is
 * a limit, and beyond it who got on least recently gives way: those who only wait lose their places
 * to those who come, and do not keep them out. */

void crew__tls_leave_begun(struct crew__tls_shared *shared, struct crew__tls *tls)
{
	if (crew__list_empty(&tls->begun))
		return;
	crew__list_remove(&tls->begun);
	shared->begun_count--;
}

void crew__tls_enter_begun(struct crew__tls_shared *shared, struct crew__tls *tls)
{
	crew__tls_leave_begun(shared, tls);
	crew__list_push(&shared->begun, &tls->begun);
	shared->begun_count++;
}

void crew__tls_keep_to_limit(const struct crew__net *net)
{
	struct crew__tls_shared *shared = net->tls_shared;
	size_t most = net->limits.tls_handshakes;
	while (most > 0 && shared->begun_count > most) {
		struct crew__tls *first = crew__container_of(
			shared->begun.next, struct crew__tls, begun);
		crew__tls_leave_begun(shared, first);
		if (first->conn->record->state == CREW__CONN_CLOSED)
			continue;
		net->stats.slab->tls_handshakes_cut++;
		crew__conn_broken(first->conn, CREW_END_HANDSHAKE);
	}
}

/* Handshakes are dear, and who is served already is not to wait for thousands of them: beyond a few
 * they wait for the next turn, as what they go on with is still to be read then. */
bool crew__tls_may_shake(crew_conn *c, const struct crew__tls *tls)
{
	struct crew__tls_shared *shared = c->net->tls_shared;
	if (!SSL_is_server(tls->ssl))
		return true;
	if (shared->shakes_turn != c->net->clock->turn) {
		shared->shakes_turn = c->net->clock->turn;
		shared->shakes = 0;
	}
	return shared->shakes++ < SHAKES_A_TURN;
}
