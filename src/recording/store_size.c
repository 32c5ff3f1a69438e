
#include "recording/plan.h"
uint64_t nissl__store_overhead(const nissl_plan *plan)
{
    return 32768 + 4096 * plan->n_sites + 200 * (uint64_t)plan->n_units +
           400 * (uint64_t)plan->n_stimuli;
}
