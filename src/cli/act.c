#include "cli/act.h"

int crew__act_kick(const struct crew__act *act)
{
	(void)act;
	return 1;
}

int crew__act_set(const struct crew__act *act)
{
	(void)act;
	return 1;
}
