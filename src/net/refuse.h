/* refuse.h - who opens connections too fast: connection_rate_per_ip. */
#ifndef CREW_NET_REFUSE_H
#define CREW_NET_REFUSE_H

#include "net/net.h"

/* One more connection from that address, of the service `name`: true when it is to be refused. That
 * is then counted (refused_rate), and told now and then in the log and as an event. */
bool crew__refuse_fast(
	struct crew__net *net, const struct crew__record_address *from, const char *name);

#endif
