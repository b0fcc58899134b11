/* conn_slow.h - connections with a backlog: looked at again and again, judged, their episodes told.
 *
 * An episode begins when a queue has not been empty for a second, or is over half full and it is
 * known why, and ends when it is empty again, or the connection ends. What is seen goes to the
 * slot's slow record; nothing here changes what becomes of a message.
 *
 * Looks: one soon after the kernel was full, which only remembers where counts stood; a second one
 * soon after, then one a second, and, while nothing changes, fewer: ten thousand peers that stall
 * are to cost next to nothing. A verdict stands when two looks in a row agree, a first one at once
 * where the figures leave no doubt. */
#ifndef CREW_NET_CONN_SLOW_H
#define CREW_NET_CONN_SLOW_H

#include "net/conn.h"

/* Something waits for it: look, if it is time to. From the wheel, at least once a second. Returns
 * when to look next (hundredths). */
uint32_t crew__slow_look(crew_conn *c, uint32_t now);

/* An episode is under way (CREW__C_SLOW), and its queue is empty or it is ending. */
void crew__slow_over(crew_conn *c);

/* Messages of it were lost by the policy, or replaced, in an episode. */
void crew__slow_note_loss(crew_conn *c, uint32_t lost, uint32_t replaced);

/* What holds for it may be another now: its limits, its policy, its cap. */
void crew__slow_note_bounds(crew_conn *c);

/* A turn has ended while connections are looked at (net->looked_at): how long it took counts. */
void crew__slow_turn(struct crew__net *net);

#endif
