#!/bin/bash
# FireWorks fills in $${name}; a line whose value is missing is left out.
#SBATCH --job-name=$${job_name}
#SBATCH --partition=$${queue}
#SBATCH --account=$${account}
#SBATCH --qos=$${qos}
#SBATCH --reservation=$${reservation}
#SBATCH --constraint=$${constraint}
#SBATCH --nodes=$${nodes}
#SBATCH --ntasks-per-node=$${ntasks_per_node}
#SBATCH --cpus-per-task=$${cpus_per_task}
#SBATCH --hint=$${hint}
#SBATCH --mem=$${mem}
#SBATCH --time=$${walltime}
#SBATCH --signal=$${signal}
#SBATCH --exclude=$${exclude_nodes}
#SBATCH --nodelist=$${nodelist}
#SBATCH --$${exclusive}
#SBATCH --no-requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
#SBATCH --error=%x-%j.err

$${pre_rocket}
. $${environment}
export OMP_NUM_THREADS=$${omp_num_threads}
# since 22.05 srun does not take this from sbatch
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
export PYTHONUNBUFFERED=1

cd "$${launch_dir}" || exit 1
# in place of this shell: SLURM signals it before the time is up
exec $${rocket_launch}
