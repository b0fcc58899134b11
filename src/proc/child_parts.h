/* child_parts.h - what the files of child.h share: child.c, child_tell.c, child_birth.c. */
#ifndef CREW_PROC_CHILD_PARTS_H
#define CREW_PROC_CHILD_PARTS_H

#include "proc/child.h"

/* Send what is owed, as far as there is room (child_tell.c). */
void crew__child_settle(struct crew__child *child);
void crew__child_drop_tls(struct crew__child *child);
/* What tickets of that service are sealed with now. */
struct crew__tls_secret crew__family_secret(struct crew__family *family, unsigned service);

/* It is to be gone by then, or is killed; a nearer moment stays (child.c). */
void crew__child_set_deadline(struct crew__child *child, uint64_t after_ms);
void crew__child_on_deadline(struct crew__timer *timer);
/* The socket is of no use any more; `why` is logged, NULL: nothing is. */
void crew__child_lose(struct crew__child *child, const char *why);
/* Read at most so many of its messages. */
void crew__child_listen(struct crew__child *child, unsigned most);
void crew__child_on_wire(struct crew__source *source, unsigned events);

#endif
