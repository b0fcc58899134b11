#include "net/conn_slow.h"

uint32_t crew__slow_look(crew_conn *c, uint32_t now)
{
	(void)c;
	return now + 100;
}

void crew__slow_over(crew_conn *c)
{
	crew__conn_clear(c, CREW__C_SLOW);
}

void crew__slow_note_loss(crew_conn *c, uint32_t lost, uint32_t replaced)
{
	(void)c;
	(void)lost;
	(void)replaced;
}
