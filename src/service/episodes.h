/* episodes.h - what is written when a connection becomes slow and when that is over: a line in the
 * log (limited for each verdict) and an event; and the events of losses, gaps and kicks. */
#ifndef CREW_SERVICE_EPISODES_H
#define CREW_SERVICE_EPISODES_H

#include "service/inner.h"

/* crew__conn_ops.on_episode. */
void crew__episode(crew_conn *c, bool begins);
/* Losses and gaps, as they are told to the program, become events; a peer that loses all the time
 * writes few of them. */
void crew__episode_loss(crew_conn *c, const crew_loss *loss);
void crew__episode_gap(crew_conn *c, const crew_gap *gap);
/* It has gone: what was still to be told is told. */
void crew__episode_closed(crew_conn *c);

#endif
