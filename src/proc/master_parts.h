/* master_parts.h - what the files of master.h share: master.c, master_asked.c, master_life.c. */
#ifndef CREW_PROC_MASTER_PARTS_H
#define CREW_PROC_MASTER_PARTS_H

#include "proc/master.h"

/* Hear what children have to say (master.c), and of their deaths: also what SIGCHLD does. */
void crew__master_hear(struct crew__master *master);
void crew__master_reap(int signo, void *arg);

/* Signals and the control socket (master_asked.c). 0 or a negative errno, of the socket with a
 * sentence. */
int crew__master_watch_signals(struct crew__master *master);
int crew__master_init_control(struct crew__master *master, const struct crew__settings *settings,
	char *ret_error, size_t error_size);

/* For the care of the log; `arg` is the master. */
void crew__master_hand_out_log(void *arg);
const struct crew__settings *crew__master_settings(void *arg);

#endif
