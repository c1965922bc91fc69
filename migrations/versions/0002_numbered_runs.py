"""numbered runs: integer keys for runs and suggestions; a decision stays when its run is tidied away.

The old keys were texts, stood in three indexes of every suggestion, and made each question write twice the pages.
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('decision', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.drop_constraint(op.f('fk_decision_suggestion_id_suggestion'), type_='foreignkey')
    _put_aside()
    op.create_table('suggestion_run',
    sa.Column('pk', sa.Integer(), nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('match_kind', sa.String(length=60), nullable=False),
    sa.Column('side', sa.String(length=10), nullable=False),
    sa.Column('profile_pk', sa.Integer(), nullable=True),
    sa.Column('key_id', sa.String(length=8), nullable=False),
    sa.Column('head', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_suggestion_run_profile_pk_profile'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('pk', name=op.f('pk_suggestion_run')),
    sa.UniqueConstraint('id', name=op.f('uq_suggestion_run_id'))
    )
    op.create_table('suggestion',
    sa.Column('pk', sa.Integer(), nullable=False),
    sa.Column('run_pk', sa.Integer(), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('profile_pk', sa.Integer(), nullable=False),
    sa.Column('item', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_suggestion_profile_pk_profile'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_pk'], ['suggestion_run.pk'], name=op.f('fk_suggestion_run_pk_suggestion_run'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('pk', name=op.f('pk_suggestion')),
    sa.UniqueConstraint('run_pk', 'rank', name='uq_suggestion_rank')
    )
    op.execute("""
        INSERT INTO suggestion_run (id, match_kind, side, profile_pk, key_id, head, created_at)
        SELECT id, match_kind, side, profile_pk, key_id, head, created_at FROM old_run ORDER BY created_at, id
        """)
    op.execute("""
        INSERT INTO suggestion (run_pk, rank, profile_pk, item)
        SELECT run.pk, old.rank, old.profile_pk, old.item
        FROM old_suggestion AS old JOIN suggestion_run AS run ON run.id = old.run_id ORDER BY run.pk, old.rank
        """)
    _finish()


def downgrade():
    _put_aside()
    op.create_table('suggestion_run',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('match_kind', sa.String(length=60), nullable=False),
    sa.Column('side', sa.String(length=10), nullable=False),
    sa.Column('profile_pk', sa.Integer(), nullable=True),
    sa.Column('key_id', sa.String(length=8), nullable=False),
    sa.Column('head', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_suggestion_run_profile_pk_profile'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suggestion_run'))
    )
    op.create_table('suggestion',
    sa.Column('id', sa.String(length=44), nullable=False),
    sa.Column('run_id', sa.String(length=36), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('profile_pk', sa.Integer(), nullable=False),
    sa.Column('item', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_suggestion_profile_pk_profile'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id'], ['suggestion_run.id'], name=op.f('fk_suggestion_run_id_suggestion_run'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suggestion'))
    )
    op.execute("""
        INSERT INTO suggestion_run (id, match_kind, side, profile_pk, key_id, head, created_at)
        SELECT id, match_kind, side, profile_pk, key_id, head, created_at FROM old_run
        """)
    op.execute("""
        INSERT INTO suggestion (id, run_id, rank, profile_pk, item)
        SELECT run.id || '-' || old.rank, run.id, old.rank, old.profile_pk, old.item
        FROM old_suggestion AS old JOIN old_run AS run ON run.pk = old.run_pk
        """)
    with op.batch_alter_table('suggestion') as batch_op:
        batch_op.create_index(op.f('ix_suggestion_run_id'), ['run_id'], unique=False)
    _finish()
    # Where the run is gone, the old schema has no place for the decision.
    op.execute('DELETE FROM decision WHERE suggestion_id NOT IN (SELECT id FROM suggestion)')
    with op.batch_alter_table('decision', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.create_foreign_key(
            op.f('fk_decision_suggestion_id_suggestion'), 'suggestion', ['suggestion_id'], ['id'], ondelete='CASCADE'
        )


def _put_aside():
    """Move the rows into tables without constraints, so that the new ones can have the names of the old."""
    op.execute('CREATE TABLE old_run AS SELECT * FROM suggestion_run')
    op.execute('CREATE TABLE old_suggestion AS SELECT * FROM suggestion')
    op.drop_table('suggestion')
    op.drop_table('suggestion_run')


def _finish():
    op.drop_table('old_suggestion')
    op.drop_table('old_run')
    with op.batch_alter_table('suggestion_run') as batch_op:
        batch_op.create_index(op.f('ix_suggestion_run_profile_pk'), ['profile_pk'], unique=False)
    with op.batch_alter_table('suggestion') as batch_op:
        batch_op.create_index(op.f('ix_suggestion_profile_pk'), ['profile_pk'], unique=False)
