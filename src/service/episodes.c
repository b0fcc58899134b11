#include "service/episodes.h"

void crew__episode(crew_conn *c, bool begins)
{
	(void)c;
	(void)begins;
}

void crew__episode_loss(crew_conn *c, const crew_loss *loss)
{
	(void)c;
	(void)loss;
}

void crew__episode_gap(crew_conn *c, const crew_gap *gap)
{
	(void)c;
	(void)gap;
}
